"""Where a stage's model and rows come from: the part of a recipe that is not a setting."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from palate.data.formats import known_layout
from palate.data.layout import MAX_LINE_BYTES, Layout, Rule, layout_of
from palate.errors import RecipeError
from palate.experiments.reward_source import absolute_reward
from palate.training.settings import setting

_WORDS = {"format", "columns"}


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Without model and data a stage runs on the embedded world."""

    model: str | None = setting(None, "model or adapter folder, or hub name, to start from")
    data: str | None = setting(
        None, "rows to train on: file, saved data set, OWNER/NAME of the hub, - (docs/data.md)"
    )
    eval_data: str | None = setting(None, "rows to evaluate on, of other prompts")
    eval_fraction: float = setting(0.0, "share of the prompts held out where no eval-data is given")
    skip_bad: bool = setting(False, "leave bad rows out and write them to rejects.jsonl")
    format: str | None = setting(None, "of the rows, instead of what they look like")
    columns: str | None = setting(None, "names of columns, ours=theirs: prompt=question,chosen=a")
    rule: Rule = setting(
        "best-worst", "which pairs several ranked responses give: one, all, or neighbours in rank"
    )
    margins: bool = setting(False, "ask for the difference of two scores as the pair's margin")
    max_line_bytes: int = setting(MAX_LINE_BYTES, "a line that is longer is a fault")

    def __post_init__(self) -> None:
        if not 0 <= self.eval_fraction < 1:
            raise RecipeError(f"eval_fraction is {self.eval_fraction}; it must lie in [0, 1)")
        if self.eval_fraction and self.eval_data:
            raise RecipeError("eval_fraction and eval_data exclude each other; give one of them")
        known_layout(self.layout)  # says now what cannot be used

    @property
    def layout(self) -> Layout:
        """How data and eval-data are to be read."""
        return layout_of(vars(self))

    @property
    def is_world(self) -> bool:
        """Whether the embedded world is meant."""
        return self.model is None and self.data is None

    def to_mapping(self) -> dict[str, Any]:
        """All of them by name; paths absolute, so that a recipe works from anywhere."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        words = {f.name for f in fields(self) if get_origin(f.type) is Literal} | _WORDS
        return {k: v if k in words else _absolute(v) for k, v in values.items()}


@dataclass(frozen=True, kw_only=True)
class SFTSources(Sources):
    """SFT may learn from the better half of preferences."""

    use_chosen: bool = setting(False, "data holds pairs: learn their chosen responses")


@dataclass(frozen=True, kw_only=True)
class PPOSources(Sources):
    """A policy that samples needs a reward."""

    reward: list[str] | None = setting(
        None,
        "reward model folder, MODULE:FUNCTION, FILE.py:FUNCTION, judge:FILE.yaml or "
        "judge:MODEL@URL; several, each with a weight as in 0.7*FOLDER, are summed",
    )
    gold: list[str] | None = setting(
        None,
        "what is really wanted, named as reward is: watched as objective/gold, never trained on",
    )
    reward_gate: Literal["require", "warn", "off"] = setting(
        "require",
        "a reward model that fails its gate or cannot be checked: refuse it, say so and go on, do "
        "not look",
    )
    gate_data: str | None = setting(
        None, "held-out pairs to check a reward model on that was never checked"
    )


Kind = TypeVar("Kind", bound=Sources)


def sources_of(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Sources from the keys that are theirs; other keys are left alone.

    Raises:
        RecipeError: a value is of the wrong type, or they contradict each other.
    """
    mine = {f.name: f.type for f in fields(kind)}
    return kind(**{k: _typed(k, mine[k], v) for k, v in values.items() if k in mine})


def _typed(name: str, wanted: Any, value: Any) -> Any:
    if wanted is bool:
        fits, word = isinstance(value, bool), "true or false"
    elif wanted is int:
        fits, word = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif wanted is float:
        fits, word = isinstance(value, int | float) and not isinstance(value, bool), "a number"
        fits = fits and math.isfinite(value)
    elif get_origin(wanted) is Literal:
        fits, word = value in get_args(wanted), f"one of {', '.join(get_args(wanted))}"
    elif wanted == list[str] | None:
        value = [value] if isinstance(value, str) else value
        listed = isinstance(value, list) and value and all(map(_is_named, value))
        fits, word = value is None or bool(listed), "a path or name, or a list of them"
    else:
        fits, word = value is None or _is_named(value), "a path"
    if not fits:
        raise RecipeError(f"{name} is {value!r}; it must be {word}")
    return value


def _is_named(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _absolute(value: Any) -> Any:
    if isinstance(value, list):
        return [absolute_reward(one) for one in value]
    return str(Path(value).resolve()) if isinstance(value, str) and Path(value).exists() else value
