"""A recipe's keys and values → fields of a settings dataclass, or the sentence that helps.

What people bring from TRL and transformers under another name is told by that name.
"""

import difflib
import math
from dataclasses import MISSING, Field
from typing import Any

from palate.errors import RecipeError
from palate.training.trl_names import ELSEWHERE, elsewhere

# Words that may be given as a list; they are kept comma separated.
LISTS = frozenset({"loss_type", "loss_weights", "lora_target_modules"})


def unknown_setting(key: str, known: set[str], where: str) -> str:
    """The sentence for a key that does not exist: it names the nearest one that does."""
    slip = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.85)
    told = ELSEWHERE.get(key, "") if slip else elsewhere(key)
    if told and key not in known:
        return f"{where} has no setting {key!r}; here it is {told}"
    near = slip or difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(known))}"
    return f"{where} has no setting {key!r}; {hint}"


def coerced(of: "Field[Any]", value: Any) -> Any:
    """A recipe's value as the field's type; YAML reads 1e-5 as a string."""
    wanted = of.type
    assert of.default is not MISSING
    if wanted is bool:
        if not isinstance(value, bool):
            raise RecipeError(f"{of.name} is {value!r}; it must be true or false")
        return value
    if wanted in (int, float):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise RecipeError(f"{of.name} is {value!r}; it must be a number") from None
        if not math.isfinite(number):
            raise RecipeError(f"{of.name} is {value!r}; it must be a finite number")
        if isinstance(value, bool) or (wanted is int and number != int(number)):
            raise RecipeError(f"{of.name} is {value!r}; it must be a whole number")
        return int(number) if wanted is int else number
    if wanted == tuple[str, ...]:
        texts = (value,) if isinstance(value, str) else value
        if not (isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts)):
            raise RecipeError(f"{of.name} is {value!r}; it must be a text, or a list of texts")
        return tuple(texts)
    if isinstance(value, list | tuple) and of.name in LISTS:
        return ",".join(str(part) for part in value)
    if isinstance(value, int | float) and of.name == "loss_weights" and value is not True:
        return str(value)
    if not isinstance(value, str):
        raise RecipeError(f"{of.name} is {value!r}; it must be a word")
    return value
