"""Calling a reward function: what it is given, and what is checked of the numbers that come back.

A reward function takes prompts and responses, one of each a response, and gives one number a
response. A prompt is the row's text, or its list of {"role", "content"} turns; a response is the
text of the reply. Further columns of the rows follow by name, as far as the function takes them.
No torch here: judges score texts without any model in memory.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palate.data.faults import quote
from palate.data.records import Prompt, Text
from palate.errors import NumericalError, PalateError, UsageError

RewardFunction = Callable[..., Iterable[float]]

_MAX_NAMED = 3
# What the first two arguments hold; a column of that name could not be told from them.
_OWN_NAMES = {"prompts", "responses"}


@dataclass(frozen=True)
class NamedFunction:
    """A reward function and what messages call it."""

    call: RewardFunction
    name: str = "the reward function"


def rewards_of(
    function: NamedFunction, prompts: Sequence[Prompt], responses: Sequence[str]
) -> list[float]:
    """Ask a function for the rewards of responses, and check what it gives.

    Args:
        function: what to ask.
        prompts: [response], the prompt of each response; the same one may come several times.
        responses: [response].

    Returns:
        One finite number a response.

    Raises:
        UsageError: the function raised an error, or gave something else than one number a response,
            or it asks for a column that the rows do not have.
        NumericalError: a reward is not finite; the message names prompts and responses.
    """
    columns = _columns(function, prompts)
    try:
        found = list(function.call([shown(p.prompt) for p in prompts], list(responses), **columns))
    except PalateError:
        raise
    except Exception as error:  # whatever a user's code raises
        raise UsageError(
            f"{function.name} raised {type(error).__name__}: {error} (on {len(responses)} "
            f"responses, the first to {_place(prompts[0])}); --debug shows where"
        ) from error
    if len(found) != len(responses):
        raise UsageError(
            f"{function.name} gave {len(found)} rewards for {len(responses)} responses (the first "
            f"to {_place(prompts[0])}); it must give one each, in order"
        )
    values = [_number(value) for value in found]
    odd = [i for i, value in enumerate(values) if value is None or not math.isfinite(value)]
    if odd:
        named = "; ".join(
            f"{_given(found[i])} for the response {quote(responses[i])} to {_place(prompts[i])}"
            for i in odd[:_MAX_NAMED]
        )
        more = f"; and {len(odd) - _MAX_NAMED} more" if len(odd) > _MAX_NAMED else ""
        kind = UsageError if any(values[i] is None for i in odd) else NumericalError
        raise kind(f"{function.name} gave {named}{more}; a reward must be a finite number")
    return [value for value in values if value is not None]


def shown(prompt: Text) -> object:
    """A prompt as reward functions get it: text, or a list of {"role", "content"}."""
    if isinstance(prompt, str):
        return prompt
    return [{"role": turn.role, "content": turn.content} for turn in prompt]


def _columns(function: NamedFunction, prompts: Sequence[Prompt]) -> Mapping[str, list[object]]:
    there = {name for prompt in prompts for name in prompt.columns}
    try:
        parameters = list(inspect.signature(function.call).parameters.values())[2:]
    except (TypeError, ValueError):  # functions of C code have no signature
        return {}
    named = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    needed = {p.name for p in parameters if p.name in named and p.default is p.empty}
    if lacking := sorted(needed - there):
        has = ", ".join(sorted(there)) or "none besides the prompt"
        raise UsageError(
            f"{function.name} asks for {lacking[0]}, which is no column of the prompts' rows "
            f"(columns: {has}); add the column, or give the argument a default"
        )
    wanted = there - _OWN_NAMES if takes_all else there & named
    return {name: [prompt.columns.get(name) for prompt in prompts] for name in sorted(wanted)}


def _number(value: Any) -> float | None:
    if isinstance(value, str | bytes):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _given(value: object) -> str:
    return str(float(value)) if isinstance(value, float) else quote(str(value))


def _place(prompt: Prompt) -> str:
    text = prompt.prompt if isinstance(prompt.prompt, str) else prompt.prompt[-1].content
    origin = f" ({prompt.origin})" if prompt.origin else ""
    return f"the prompt {quote(text)}{origin}"
