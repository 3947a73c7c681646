"""A run's model for other people's tools, kept only when stock libraries give Palate's numbers.

The folder is made beside its place, a few rows of the run are scored from it by a process that
knows transformers and PEFT alone, and only what agrees is moved into place.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from palate.data.render import Renderer
from palate.data.trees import Tree, plant
from palate.errors import GateError, ModelError, UsageError
from palate.experiments import stock_scores
from palate.experiments.answers import as_policy
from palate.experiments.export_card import write_export_card
from palate.experiments.prepare import frozen_reward, load_reward_model
from palate.experiments.trained_run import TrainedRun, some_rows
from palate.models.load import Loaded, load, weights_hash
from palate.models.reward_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from palate.models.roles import Roles
from palate.models.scoring import rewards, token_logprobs_of
from palate.models.stock import write_classifier, write_merged

What = Literal["merged", "adapter", "reward"]
TOLERANCE = 1e-4
NUM_ROWS = 4


@dataclass(frozen=True)
class Export:
    """What was exported, and how well stock libraries agree.

    Attributes:
        what: merged, adapter or reward.
        output_dir: the folder.
        base: model that an adapter is for; None where the folder stands alone.
        num_responses: responses that were scored twice.
        largest_difference: between stock and Palate, in nats a token, or in reward.
        reward_shift: what a classifier's logit is above the reward.
        end_token_id: ends a response.
        versions: of the stock libraries that scored.
        serve: commands that serve the folder; nothing has run them.
    """

    what: What
    output_dir: Path
    base: str | None
    num_responses: int
    largest_difference: float
    reward_shift: float
    end_token_id: int
    versions: dict[str, str]
    serve: list[str]

    def to_json(self) -> dict[str, Any]:
        """What `palate export --json` prints."""
        return {
            "what": self.what,
            "output_dir": str(self.output_dir),
            "base": self.base,
            "responses_scored": self.num_responses,
            "largest_difference": self.largest_difference,
            "tolerance": TOLERANCE,
            "reward_shift": self.reward_shift,
            "versions": self.versions,
            "serve": self.serve,
            "serve_was_run": False,
        }


def export_run(
    run: TrainedRun,
    output_dir: Path,
    *,
    what: What | None = None,
    base: str | None = None,
    data: str | None = None,
) -> Export:
    """Export a run's model into a new folder.

    Args:
        run: the run.
        output_dir: the folder; must not exist.
        what: merged (a policy of its own), adapter (as PEFT loads it), reward (a sequence
            classifier); by default reward for a reward model and merged for any other.
        base: the model that the run's adapter is for, where it has moved.
        data: rows to score again, where the run's own are gone.

    Raises:
        UsageError: the run has no such model, or the folder exists or cannot be written.
        ModelError: the base is missing, or is another one.
        GateError: stock libraries cannot load the folder, or give other numbers; it is removed.
    """
    what = _which(run, what)
    with _draft(output_dir) as draft:
        loaded = _load(run, base)
        name = str(loaded.model.name_or_path)
        roles = frozen_reward(loaded, run.folder.model) if run.is_reward else as_policy(loaded)
        renderer = Renderer(roles.tokenizer)
        trees = some_rows(run, renderer, count=NUM_ROWS, data=data)
        own = _own_scores(roles, trees, reward=run.is_reward)
        texts = [roles.tokenizer.decode(whole) for whole in _wholes(trees)]
        shift = _write(what, run, roles, draft, base=name, ends=renderer.end_token_ids)
        del loaded, roles
        found = _stock(what, draft, name, trees, shown_as=output_dir)
        export = Export(
            what=what,
            output_dir=output_dir,
            base=name if what == "adapter" else None,
            num_responses=len(own),
            largest_difference=_compare(found, own, texts, shift=shift),
            reward_shift=shift,
            end_token_id=renderer.end_token_id,
            versions=found["versions"],
            serve=_serve(what, draft, output_dir, name),
        )
        write_export_card(run, export, draft, base=name if run.is_adapter else run.passport.base)
    return export


def _which(run: TrainedRun, what: What | None) -> What:
    where = run.folder.path
    if run.is_reward:
        if what not in (None, "reward"):
            raise UsageError(f"{where}: holds a reward model; export it with --what reward")
        return "reward"
    if what == "reward":
        raise UsageError(
            f"{where}: holds a policy ({run.passport.stage}), which has no reward head; export it "
            "with --what merged, or name the run of palate reward"
        )
    if what == "adapter" and not run.is_adapter:
        raise UsageError(
            f"{where}: all weights were trained, so there is no adapter; export it with --what "
            "merged"
        )
    return what or "merged"


@contextmanager
def _draft(output_dir: Path) -> Iterator[Path]:
    """A folder beside `output_dir` that takes its place at the end, or is gone."""
    if output_dir.exists():
        raise UsageError(f"{output_dir}: exists already; choose another --output-dir")
    missing = [path for path in output_dir.parents if not path.exists()]
    draft = output_dir.with_name(f".{output_dir.name}.{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        yield draft
        draft.rename(output_dir)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        for path in missing:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        if isinstance(error, OSError):
            raise UsageError(
                f"{output_dir}: cannot be written ({error.strerror or error}); choose another "
                "--output-dir"
            ) from error
        raise


def _load(run: TrainedRun, base: str | None) -> Loaded:
    """The model of a run as it is to be exported, an adapter with the base that it was made for."""
    folder, passport = run.folder.model, run.passport
    read = load_reward_model if run.is_reward else load
    if not run.is_adapter:
        if base is not None:
            raise UsageError(
                f"--base {base}: all weights of {run.folder.path} were trained, so it needs no "
                "base; leave it out"
            )
        return read(folder)
    name = base or passport.base
    if not name or (Path(name).is_absolute() and not Path(name).is_dir()):
        raise ModelError(
            f"{run.folder.path}: its adapter is for {name or 'a model that had no name'}, which "
            "is not there; say where that model is with --base"
        )
    loaded = read(folder, base=base)
    comparable = passport.start is None or passport.start.dtype == "float32"
    if comparable and passport.base_hash not in (None, weights_hash(loaded.model)):
        raise ModelError(
            f"{loaded.model.name_or_path}: not the base that the adapter in {run.folder.path} was "
            f"trained on ({passport.base}): its weights are others; name the right one with --base"
        )
    return loaded


def _wholes(trees: Sequence[Tree]) -> list[list[int]]:
    """Prompt and response of every response, as token ids."""
    return [[*tree.prompt, *one.tokens] for tree in trees for one in tree.responses]


@torch.no_grad()
def _own_scores(roles: Roles, trees: Sequence[Tree], *, reward: bool) -> list[list[float]]:
    """Palate's numbers for each response: its reward, or its tokens' log-probabilities."""
    forest = plant(trees, device=roles.device)
    if reward:
        return [[value] for value in rewards(roles, forest).tolist()]
    logprobs = iter(token_logprobs_of(roles, "policy", forest).tolist())
    return [[next(logprobs) for _ in one.tokens] for tree in trees for one in tree.responses]


def _write(
    what: What, run: TrainedRun, roles: Roles, folder: Path, *, base: str, ends: Collection[int]
) -> float:
    """Put the model into the folder; gives what its logit is above the reward."""
    if what == "reward":
        return write_classifier(roles, folder, ends=ends)
    if what == "merged":
        write_merged(roles, folder)
        return 0.0
    shutil.copyfile(run.folder.model / ADAPTER_WEIGHTS, folder / ADAPTER_WEIGHTS)
    config = json.loads((run.folder.model / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": base, "task_type": "CAUSAL_LM"}
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG).write_text(text, encoding="utf-8")
    roles.tokenizer.save_pretrained(folder)
    return 0.0


def _stock(
    what: What, folder: Path, base: str, trees: Sequence[Tree], *, shown_as: Path
) -> dict[str, Any]:
    """Scores of the same responses by stock libraries, in a new process."""
    pairs = [(tree.prompt, one.tokens) for tree in trees for one in tree.responses]
    order = {
        "what": what,
        "folder": str(folder.resolve()),
        "base": base,
        "rows": [{"prompt": prompt, "response": response} for prompt, response in pairs],
    }
    # -P keeps the program's own folder, which is this package's, off its path.
    done = subprocess.run(
        [sys.executable, "-P", stock_scores.__file__],
        input=json.dumps(order), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        reason = lines[-1].replace(str(folder.resolve()), str(shown_as))
        raise GateError(
            f"{shown_as}: not kept, because stock transformers and peft cannot load and score it: "
            f"{reason}"
        )
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    assert "palate" not in found["modules"]
    return found


def _compare(
    found: Mapping[str, Any], own: list[list[float]], texts: list[str], *, shift: float
) -> float:
    """The largest difference between stock numbers and Palate's.

    Raises:
        GateError: it is above the tolerance, or the tokenizer reads the rows as other texts.
    """
    for ours, theirs in zip(texts, found["texts"], strict=True):
        if ours != theirs:
            raise GateError(
                "the export was not kept: its tokenizer, read by stock transformers, gives "
                f"{theirs!r} for tokens that are {ours!r}"
            )
    differences: list[float] = [
        abs(theirs - shift - ours)
        for one, other in zip(own, found["scores"], strict=True)
        for ours, theirs in zip(one, other, strict=True)
    ]
    if not all(difference <= TOLERANCE for difference in differences):
        raise GateError(
            "the export was not kept: stock transformers and peft give other numbers than Palate, "
            f"by up to {max(differences):.2g} (at most {TOLERANCE:g} is allowed) over {len(own)} "
            "responses; the run's own model folder is whole"
        )
    return max(differences)


def _serve(what: What, draft: Path, folder: Path, base: str) -> list[str]:
    if what == "merged":
        return [f"transformers serve {folder}", f"vllm serve {folder}"]
    if what == "reward":
        return [f"vllm serve {folder} --runner pooling"]
    rank = json.loads((draft / ADAPTER_CONFIG).read_text(encoding="utf-8"))["r"]
    lora = f"--enable-lora --max-lora-rank {rank} --lora-modules {folder.name}={folder}"
    return [f"vllm serve {base} {lora}"]
