"""The frame of a run, the same for every stage and door: what is written before and after training.

Before: recipe, circumstances, followers. After: the model with its passport, and the card.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.errors import DataError
from palate.experiments.card import write_card
from palate.experiments.cost import Cost
from palate.experiments.passport import Passport, RewardBill, Start, write_passport
from palate.models.roles import Roles
from palate.training.folder import RunFolder
from palate.training.run import Listener, Result, Run
from palate.training.samples import FixedSamples
from palate.training.settings import StageSettings

# What sets a run apart from its sisters in a comparison, where the stage has it.
APART = ("seed", "method", "beta", "loss_type", "kl_coef")


@dataclass(frozen=True)
class Rows:
    """A stage's rows as trees, and how many of each were too long and left out."""

    train: Sequence[Tree]
    held_out: Sequence[Tree]
    num_dropped: int
    num_dropped_eval: int


@dataclass(frozen=True)
class Outcome:
    """A finished stage.

    Attributes:
        stage: its name.
        output_dir: the run folder.
        model_dir: the trained model's folder in it.
        result: figures of the training.
        cost: this process's bill; the passport has the whole run's.
        num_dropped: training rows left out for their length.
        num_dropped_eval: held-out rows left out for their length.
    """

    stage: str
    output_dir: Path
    model_dir: Path
    result: Result
    cost: Cost
    num_dropped: int
    num_dropped_eval: int

    def to_json(self) -> dict[str, Any]:
        """What a training command prints with --json."""
        return {
            "stage": self.stage,
            "output_dir": str(self.output_dir),
            "model_dir": str(self.model_dir),
            "train_seconds": self.result.train_seconds,
            "steps": self.result.steps,
            "stop_reason": self.result.stop_reason,
            "examples": self.result.examples,
            "tokens": self.result.tokens,
            "dropped_overlong": self.num_dropped,
            "dropped_overlong_eval": self.num_dropped_eval,
            "peak_rss_bytes": self.cost.peak_rss_bytes,
            "metrics": self.result.metrics,
            "cost": self.cost.to_json(),
        }


@dataclass(frozen=True)
class Work:
    """A stage about to run: what is trained, on what, and from where.

    Attributes:
        stage: sft, reward, dpo, ppo or online.
        role: the role that is trained and saved.
        roles: the models.
        settings: its settings.
        renderer: text to tokens and back.
        rows: what it trains and evaluates on.
        start: name and hashes of the model that training starts from.
        reward: the reward model that it is trained against.
        reward_hash: of everything that it is trained against; "" where that is not known.
    """

    stage: str
    role: str
    roles: Roles
    settings: StageSettings
    renderer: Renderer
    rows: Rows
    start: Start
    reward: RewardBill | None = None
    reward_hash: str = ""

    def identity(self) -> dict[str, str]:
        """Hashes of data, model, reference and reward: what a resumed run must share."""
        found = {"data": data_hash(self.rows.train), "model": self.start.weights}
        if "reference" in self.roles:
            found["reference"] = self.roles["reference"].fingerprint
        if self.reward_hash:
            found["reward"] = self.reward_hash
        return found

    def begin(
        self,
        folder: RunFolder,
        *,
        identity: Mapping[str, str],
        resume: bool,
        listeners: Sequence[Listener],
        saved: Callable[[int], None] | None = None,
    ) -> Run:
        """Write down what the run is, and wire its followers.

        Args:
            folder: open, and so locked.
            identity: as it was when the run started.
            resume: the run is there already.
            listeners: told of steps and rows of the log.
            saved: called with the step of a checkpoint once it is on disk.
        """
        if not resume:
            name = str(self.roles.model.name_or_path)
            recipe = {"stage": self.stage, "model": name, **self.settings.to_mapping()}
            folder.describe(recipe=recipe, identity=identity)
        shown = list(dict.fromkeys(tree.prompt for tree in self.rows.held_out or self.rows.train))
        prompts = [Tree(prompt) for prompt in shown[: self.settings.num_sample_prompts]]
        fixed = None
        if self.role == "policy" and prompts:
            fixed = FixedSamples(
                folder.samples,
                self.roles,
                prompts,
                decode=self.renderer.decode,
                end_tokens=self.renderer.end_token_ids,
                max_new_tokens=getattr(self.settings, "max_new_tokens", 64),
                temperature=getattr(self.settings, "temperature", 1.0),
                stop=getattr(self.settings, "stop", ()),
            )
        return Run(folder, resume, identity, fixed, listeners, saved)

    def save(self, folder: Path, *, cost: Cost | None) -> None:
        """Write the trained role, then its passport with the run's bill."""
        self.roles.save(self.role, folder)
        is_adapter = self.roles[self.role].adapter is not None
        passport = Passport(
            stage=self.stage,
            role=self.role,
            base=str(self.roles.model.name_or_path),
            base_hash=self.start.weights if is_adapter else None,
            start=self.start,
            settings={
                name: getattr(self.settings, name) for name in APART if hasattr(self.settings, name)
            },
            cost=cost,
            reward=self.reward,
        )
        write_passport(passport, folder)

    def close(self, folder: RunFolder, result: Result, *, cost: Cost, bill: Cost | None) -> Outcome:
        """Save the model and write the card.

        Args:
            folder: of the run.
            result: what the loop gave.
            cost: this process's.
            bill: the whole run's, other processes' included; None where it is not known.
        """
        self.save(folder.model, cost=bill)
        outcome = Outcome(
            self.stage, folder.path, folder.model, result, cost, self.rows.num_dropped,
            self.rows.num_dropped_eval,
        )  # fmt: skip
        write_card(outcome, self.settings, base=str(self.roles.model.name_or_path))
        return outcome


def data_hash(trees: Sequence[Tree]) -> str:
    """A hash of the rendered rows in their order, with what is said of each.

    Raises:
        DataError: there are none.
    """
    if not trees:
        raise DataError("there are no rows to train on")
    digest = sha256()
    for tree in trees:
        told = (tree.weight, tree.margin, tree.desirable)
        digest.update(f"{tree.key()} {' '.join(map(str, told))}\n".encode())
    return digest.hexdigest()
