"""recipe.yaml and flags → settings and sources; what is wrong is named with its line or flag."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from palate.cli.sources import Sources
from palate.errors import RecipeError, UsageError
from palate.training.recipe_keys import unknown_setting
from palate.training.settings import StageSettings

STAGE = "stage"
Settings = TypeVar("Settings", bound=StageSettings)


@dataclass(frozen=True)
class Recipe:
    """Keys and values of a YAML file, with the line of each key."""

    path: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def place(self, key: str) -> str:
        """Where a key stands: "recipe.yaml:3"."""
        return f"{self.path}:{self.lines[key]}"


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe.

    Raises:
        UsageError: the file cannot be read.
        RecipeError: it is not YAML, not a mapping, or a key stands twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{path}: the recipe cannot be read ({reason}); check --config") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise RecipeError(f"{place}: not YAML: {problem}; write one `name: value` a line") from None
    if node is None:
        raise RecipeError(f"{path}: the recipe is empty; write one `name: value` a line")
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        raise RecipeError(f"{path}:1: not a mapping; write one `name: value` a line")
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        if name in lines:
            raise RecipeError(
                f"{path}:{line}: {name} stands in line {lines[name]} already; keep one"
            )
        lines[name] = line
    return Recipe(str(path), {str(key): value for key, value in values.items()}, lines)


def check_keys(
    recipe: Recipe, *, stage: str, settings: type[StageSettings], sources: type[Sources]
) -> None:
    """Refuse a recipe of another stage, and keys that the stage does not have.

    Raises:
        RecipeError: names file and line, and the nearest key that exists.
    """
    known = {f.name for f in fields(settings)} | {f.name for f in fields(sources)} | {STAGE}
    for key, value in recipe.values.items():
        if key not in known:
            hint = unknown_setting(key, known, f"palate {stage}")
            raise RecipeError(f"{recipe.place(key)}: {hint}")
        if key == STAGE and value != stage:
            raise RecipeError(
                f"{recipe.place(key)}: this is a recipe for palate {value}, not palate {stage}"
            )


def resolve(
    settings: type[Settings], *, base: Mapping[str, Any], recipe: Recipe, flags: Mapping[str, Any]
) -> Settings:
    """Settings: flags over the recipe, the recipe over `base`, `base` over the defaults.

    Raises:
        RecipeError: a value cannot be used; the message begins with its line or flag.
    """
    names = {f.name for f in fields(settings)}
    merged = {k: v for k, v in {**base, **recipe.values, **flags}.items() if k in names}
    try:
        _refuse_endless(merged)
        return settings.from_mapping(merged)
    except RecipeError as error:
        raise RecipeError(f"{whence(str(error), recipe, flags)}{error}") from None


def whence(message: str, recipe: Recipe, flags: Mapping[str, Any]) -> str:
    """The line or flag of the value that a message begins with."""
    key = message.split(maxsplit=1)[0]
    if flags.get(key) is not None:
        return f"--{key.replace('_', '-')}: "
    return f"{recipe.place(key)}: " if key in recipe.lines else ""


def _refuse_endless(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(f"{name} is {value}; it must be a finite number")
