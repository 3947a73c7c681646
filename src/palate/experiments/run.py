"""One stage as a run: records and a model in, a run folder with a trained model out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from palate.data.grow import comparison_trees, demonstration_trees, preference_trees, prompt_trees
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.render import Overlong, Renderer
from palate.data.trees import Tree
from palate.errors import DataError
from palate.experiments.card import write_card
from palate.experiments.cost import Cost, metered
from palate.experiments.prepare import (
    add_value,
    load_reward,
    policy_roles,
    reward_roles,
    save_model,
)
from palate.models.load import Loaded, weights_hash
from palate.models.protocols import ModelReward, Reward
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.training.dpo import train_dpo
from palate.training.folder import RunFolder
from palate.training.ppo import train_ppo
from palate.training.reward import train_reward
from palate.training.samples import FixedSamples
from palate.training.session import Listener, Result, Run
from palate.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardSettings,
    SFTSettings,
    StageSettings,
)
from palate.training.sft import train_sft


@dataclass(frozen=True)
class Frame:
    """How a run meets its folder, and who follows it.

    Attributes:
        resume: continue the run in `output_dir`.
        overwrite: replace the run in `output_dir`.
        listeners: told of steps and rows of the log.
    """

    resume: bool = False
    overwrite: bool = False
    listeners: Sequence[Listener] = field(default_factory=tuple)


@dataclass(frozen=True)
class Outcome:
    """A finished stage."""

    stage: str
    output_dir: Path
    model_dir: Path
    result: Result
    cost: Cost
    num_dropped: int

    def to_json(self) -> dict[str, Any]:
        """What a training command prints with --json."""
        return {
            "stage": self.stage,
            "output_dir": str(self.output_dir),
            "model_dir": str(self.model_dir),
            "train_seconds": self.result.train_seconds,
            "steps": self.result.steps,
            "examples": self.result.examples,
            "tokens": self.result.tokens,
            "dropped_overlong": self.num_dropped,
            "peak_rss_bytes": self.cost.peak_rss_bytes,
            "metrics": self.result.metrics,
            "cost": self.cost.to_json(),
        }


def run_sft(
    settings: SFTSettings,
    loaded: Loaded,
    demonstrations: Sequence[Demonstration],
    *,
    eval_demonstrations: Sequence[Demonstration] = (),
    frame: Frame | None = None,
) -> Outcome:
    """Supervised fine-tuning into `settings.output_dir`."""
    renderer = Renderer(loaded.tokenizer)
    limits = _limits(settings)
    trees, dropped = demonstration_trees(demonstrations, renderer, **limits)
    held_out = (
        demonstration_trees(eval_demonstrations, renderer, **limits)[0]
        if (eval_demonstrations)
        else []
    )
    with _folder(settings, frame) as (folder, frame):
        roles = policy_roles(loaded, settings, with_reference=False)
        run = _run("sft", settings, roles, trees, held_out, renderer, folder, frame)
        with metered(roles) as cost:
            result = train_sft(roles, trees, settings, eval_demonstrations=held_out, run=run)
        return _close("sft", "policy", roles, folder, settings, result, cost, dropped)


def run_dpo(
    settings: DPOSettings,
    loaded: Loaded,
    pairs: Sequence[Preference | Demonstration],
    *,
    eval_pairs: Sequence[Preference | Demonstration] = (),
    cache: ReferenceCache | None = None,
    frame: Frame | None = None,
) -> Outcome:
    """Direct preference optimization into `settings.output_dir`."""
    renderer = Renderer(loaded.tokenizer)
    limits = _limits(settings)
    trees, dropped = comparison_trees(pairs, renderer, **limits)
    held_out = comparison_trees(eval_pairs, renderer, **limits)[0] if eval_pairs else []
    with _folder(settings, frame) as (folder, frame):
        roles = policy_roles(
            loaded, settings, with_reference=settings.needs_reference,
            moving_reference=settings.moves_reference,
        )  # fmt: skip
        run = _run("dpo", settings, roles, trees, held_out, renderer, folder, frame)
        with metered(roles) as cost:
            result = train_dpo(roles, trees, settings, eval_pairs=held_out, cache=cache, run=run)
        return _close("dpo", "policy", roles, folder, settings, result, cost, dropped)


def run_reward(
    settings: RewardSettings,
    loaded: Loaded,
    pairs: Sequence[Preference],
    *,
    eval_pairs: Sequence[Preference] = (),
    frame: Frame | None = None,
) -> Outcome:
    """A reward model into `settings.output_dir`."""
    renderer = Renderer(loaded.tokenizer)
    limits = _limits(settings)
    trees, dropped = preference_trees(pairs, renderer, **limits)
    held_out = preference_trees(eval_pairs, renderer, **limits)[0] if eval_pairs else []
    with _folder(settings, frame) as (folder, frame):
        roles = reward_roles(loaded, settings)
        run = _run("reward", settings, roles, trees, held_out, renderer, folder, frame)
        with metered(roles) as cost:
            result = train_reward(
                roles, trees, settings, end_tokens=renderer.end_token_ids, eval_pairs=held_out,
                run=run,
            )  # fmt: skip
        return _close("reward", "reward", roles, folder, settings, result, cost, dropped)


def run_ppo(
    settings: PPOSettings,
    loaded: Loaded,
    prompts: Sequence[Prompt],
    *,
    reward: Path | Reward,
    gold: Reward | None = None,
    eval_prompts: Sequence[Prompt] = (),
    frame: Frame | None = None,
) -> Outcome:
    """PPO against a reward model's folder, or any reward, into `settings.output_dir`.

    `gold` is only watched, in evaluations, beside the reward that is optimized.
    """
    renderer = Renderer(loaded.tokenizer)
    limits = _limits(settings)
    trees, dropped = prompt_trees(prompts, renderer, **limits)
    held_out = prompt_trees(eval_prompts, renderer, **limits)[0] if eval_prompts else []
    with _folder(settings, frame) as (folder, frame):
        roles = policy_roles(loaded, settings)
        add_value(roles, loaded, settings)
        if isinstance(reward, Path):
            load_reward(roles, reward)
            reward = ModelReward(roles)
        run = _run("ppo", settings, roles, trees, held_out, renderer, folder, frame)
        with metered(roles) as cost:
            result = train_ppo(
                roles, trees, settings, reward=reward, end_tokens=renderer.end_token_ids,
                eval_prompts=held_out, gold=gold, run=run,
            )  # fmt: skip
        return _close("ppo", "policy", roles, folder, settings, result, cost, dropped)


def _limits(settings: StageSettings) -> dict[str, Any]:
    overlong: Overlong = settings.overlong
    return {"max_length": settings.max_length, "overlong": overlong}


@contextmanager
def _folder(settings: StageSettings, frame: Frame | None) -> Iterator[tuple[RunFolder, Frame]]:
    frame = frame or Frame()
    folder = RunFolder(settings.output_dir)
    with folder.open(resume=frame.resume, overwrite=frame.overwrite):
        yield folder, frame


def _run(
    stage: str,
    settings: StageSettings,
    roles: Roles,
    trees: Sequence[Tree],
    held_out: Sequence[Tree],
    renderer: Renderer,
    folder: RunFolder,
    frame: Frame,
) -> Run:
    """Write down what the run is, and wire its followers."""
    identity = {"data": data_hash(trees), "model": weights_hash(roles.model)}
    if not frame.resume:
        recipe = {"stage": stage, "model": str(roles.model.name_or_path), **settings.to_mapping()}
        folder.describe(recipe=recipe, identity=identity)
    fixed = None
    shown = list({tree.prompt: Tree(tree.prompt) for tree in held_out or trees}.values())
    shown = shown[: settings.num_sample_prompts]
    if stage != "reward" and shown:
        fixed = FixedSamples(
            folder.samples,
            roles,
            shown,
            decode=renderer.decode,
            end_tokens=renderer.end_token_ids,
            max_new_tokens=getattr(settings, "max_new_tokens", 64),
            temperature=getattr(settings, "temperature", 1.0),
        )
    return Run(folder, frame.resume, identity, fixed, frame.listeners)


def _close(
    stage: str,
    role: str,
    roles: Roles,
    folder: RunFolder,
    settings: StageSettings,
    result: Result,
    cost: Cost,
    dropped: int,
) -> Outcome:
    save_model(roles, role, folder.model, stage=stage)
    outcome = Outcome(stage, folder.path, folder.model, result, replace(cost), dropped)
    write_card(outcome, settings, base=str(roles.model.name_or_path))
    return outcome


def data_hash(trees: Sequence[Tree]) -> str:
    """A hash of the rendered rows in their order.

    Raises:
        DataError: there are none.
    """
    if not trees:
        raise DataError("there are no rows to train on")
    digest = sha256()
    for tree in trees:
        digest.update(f"{tree.key()} {tree.weight} {tree.margin}\n".encode())
    return digest.hexdigest()
