"""A finished run read back from its folder: recipe, passport, figures, and some of its rows."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import try_to_load_from_cache

from palate.data.grow import comparison_trees, demonstration_trees
from palate.data.layout import layout_of
from palate.data.records import Demonstration
from palate.data.render import Renderer
from palate.data.sources import read_comparisons, read_demonstrations
from palate.data.trees import Tree
from palate.errors import UsageError
from palate.experiments.passport import PASSPORT, Passport, read_passport
from palate.experiments.world import world_demonstrations
from palate.training.folder import RunFolder
from palate.training.journal import read_metrics


@dataclass(frozen=True)
class TrainedRun:
    """A run that has a model.

    Attributes:
        folder: of the run.
        recipe: every setting of it; of a command's run, where its rows came from too.
        manifest: hashes and versions.
        passport: of its model.
        metrics: the last value of each.
    """

    folder: RunFolder
    recipe: dict[str, Any]
    manifest: dict[str, Any]
    passport: Passport
    metrics: dict[str, float]

    @property
    def is_reward(self) -> bool:
        """Whether a reward model was trained."""
        return self.passport.role == "reward"

    @property
    def is_adapter(self) -> bool:
        """Whether its model is an adapter on a base."""
        return (self.folder.model / "adapter_config.json").exists()


def open_run(path: Path) -> TrainedRun:
    """Read a run folder.

    Raises:
        UsageError: there is none, or its run has not come to an end.
        ModelError: its model folder is damaged.
    """
    if not path.is_dir():
        raise UsageError(f"{path}: there is no such folder; name the output folder of a run")
    folder = RunFolder(path)
    if not (path / "recipe.yaml").is_file():
        around = path.parent if (path.parent / "recipe.yaml").is_file() else None
        hint = f"name the run folder around it, {around}" if around else (
            "name the output folder of palate sft, reward, dpo or ppo"
        )  # fmt: skip
        raise UsageError(f"{path}: not a run folder (no recipe.yaml); {hint}")
    try:
        recipe = yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8"))
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        stage = str(recipe["stage"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UsageError(
            f"{path}: its recipe.yaml or manifest.json is damaged ({type(error).__name__}); "
            "train again, or restore the two files"
        ) from None
    passport = read_passport(folder.model)
    if passport is None:
        raise UsageError(
            f"{path}: this run is not finished (no model/{PASSPORT}); continue it with palate "
            f"{stage} --resume --output-dir {path}"
        )
    rows = read_metrics(folder.metrics) if folder.metrics.is_file() else []
    metrics = {name: value for row in rows for name, value in row.items() if name != "step"}
    return TrainedRun(folder, recipe, manifest, passport, metrics)


def some_rows(
    run: TrainedRun, renderer: Renderer, *, count: int, data: str | None = None
) -> list[Tree]:
    """A few rows of a run, with responses.

    They are the first of the file that it was trained on; where that holds prompts alone or is
    not known, samples of the run (of a reward model, of the run that it started from); on the
    embedded world, demonstrations of it.

    Args:
        run: the run.
        renderer: text to tokens.
        count: trees at most.
        data: a file of such rows, instead.

    Raises:
        UsageError: the run has no rows with responses, and no file is given.
        DataError: the file cannot be read.
    """
    recipe, stage = run.recipe, run.passport.stage
    limits: Any = {"max_length": recipe["max_length"], "overlong": "drop"}
    how: Any = {"skip_bad": bool(recipe.get("skip_bad"))}
    if data is None:  # a file that is named now says itself how its rows are to be read
        how["layout"] = layout_of(recipe)
    named: Any = data or recipe.get("data")
    there = bool(named) and (data is not None or Path(named).exists())
    if there and stage in ("reward", "dpo"):
        compared = read_comparisons(named, **how).records
        return comparison_trees(compared, renderer, **limits)[0][:count]
    if there and (stage == "sft" or data is not None):
        chosen = stage == "sft" and bool(recipe.get("use_chosen"))
        shown = read_demonstrations(named, use_chosen=chosen, **how).records
    elif "data" in recipe and named is None:
        shown = world_demonstrations(count, seed=recipe["seed"])
    else:
        shown = _samples(run)
    if not shown:
        raise UsageError(
            f"{run.folder.path}: none of its rows are there any more to score again; name a file "
            "of such rows with --data"
        )
    return demonstration_trees(shown, renderer, **limits)[0][:count]


def _samples(run: TrainedRun) -> list[Demonstration]:
    """Samples that have words in them, newest first: the run's, or those of the run before it.

    A reward model answers nothing; what it was trained from does.
    """
    start = run.passport.start.name if run.passport.start else run.passport.base
    path = run.folder.samples if not run.is_reward else RunFolder(Path(start).parent).samples
    if not path.is_file():
        return []
    rows: list[Any] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Demonstration(row["prompt"], row["policy"], origin=f"{path.name}:{number}")
        for number, row in enumerate(rows, 1)
        if row["prompt"].strip() and row["policy"].strip()
    ][::-1]


def base_licence(base: str) -> str | None:
    """The licence that a base model's own card names, where the card is on this machine.

    Args:
        base: a folder, or a hub name whose snapshot is in the cache.
    """
    try:
        card = Path(base) / "README.md" if Path(base).is_dir() else _cached_card(base)
        _, front, _ = card.read_text(encoding="utf-8").split("---\n", 2)
        licence = yaml.safe_load(front).get("license")
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return None
    return str(licence) if licence else None


def _cached_card(name: str) -> Path:
    found = try_to_load_from_cache(name, "README.md")
    if not isinstance(found, str):
        raise FileNotFoundError(name)
    return Path(found)
