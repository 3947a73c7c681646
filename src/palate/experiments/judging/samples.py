"""Files of samples → candidates: a prompt and the responses among which a judge chooses.

    {"prompt": …, "responses": ["…", {"text": "…", "stopped": true, "score": 0.3}]}
    {"prompt": …, "chosen": …, "rejected": …}      people's pairs: the judge is compared with them

Responses of one text, but for outer blanks and Unicode form, are one candidate: a pair of them
would prefer nothing. A response that was cut at the limit of tokens (`stopped`
false) takes no part: as the chosen side of a pair it would teach to end in the middle.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from palate.data.doors import PREFERENCES
from palate.data.faults import RowFault, quote
from palate.data.files import lines_of
from palate.data.formats.cells import plain_form
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.lines import Line
from palate.data.records import Preference, Prompt, Text, prompt_key
from palate.data.rows import parse_preference, parse_prompt
from palate.data.stream import read_row
from palate.errors import DataError


@dataclass(frozen=True)
class Candidates:
    """The responses to one prompt.

    Attributes:
        prompt: with its origin and the row's further columns.
        responses: distinct texts, two at least.
        scores: as the row has them; None where it has none.
        preferred: the place of the one that people prefer, of two; None: nobody said.
    """

    prompt: Prompt
    responses: tuple[str, ...]
    scores: tuple[float, ...] | None = None
    preferred: int | None = None


@dataclass(frozen=True)
class Samples:
    """What a file came to.

    Attributes:
        candidates: prompts with at least two responses to choose between.
        num_prompts: rows.
        num_cut: responses left out because they were cut at the limit.
        num_repeated: responses left out because they repeat another one.
        num_alone: prompts left out because fewer than two responses were left.
    """

    candidates: list[Candidates]
    num_prompts: int
    num_cut: int
    num_repeated: int
    num_alone: int


@dataclass(frozen=True)
class _Response:
    text: str
    stopped: bool = True
    score: float | None = None


@dataclass(frozen=True)
class _Asked:
    """A prompt, its responses, and which text people prefer."""

    prompt: Prompt
    responses: list[_Response]
    preferred: str | None = None


def read_samples(path: str | Path, layout: Layout = AS_THEY_SAY) -> Samples:
    """Read samples, or pairs that people have judged.

    Args:
        path: a file of any kind that the data room reads.
        layout: what a person says of its rows; a format that is named is one of pairs.

    Raises:
        DataError: a row is neither, or no prompt has two responses; the message says where.
        RecipeError: the layout names a column that no row has, or a format of no pairs.
    """
    found: list[Candidates] = []
    num_rows = num_cut = num_repeated = num_alone = 0
    for line in lines_of(path, layout):
        if line.fault is not None or line.row is None:
            raise DataError(str(line.fault or f"{line.origin}: no object"))
        num_rows += 1
        asked = _asked(line, layout)
        num_alone += not asked
        for one in asked:
            whole = [r for r in one.responses if r.stopped and r.text.strip()]
            by_form = {plain_form(r.text): r for r in reversed(whole)}
            distinct = [r for r in whole if by_form[plain_form(r.text)] is r]
            num_cut += len(one.responses) - len(whole)
            num_repeated += len(whole) - len(distinct)
            if len(distinct) < 2:
                num_alone += 1
            else:
                found.append(_candidates(one, distinct))
    if not num_rows:
        raise DataError(f"{path}: no rows; palate sample writes rows to judge")
    if not found:
        raise DataError(
            f"{path}: none of {num_rows} prompts has two different responses that end by "
            f"themselves ({num_cut} were cut at the limit or empty, {num_repeated} repeat another "
            "one); sample more of each (--num-samples), warmer, or longer ones"
        )
    return Samples(found, num_rows, num_cut, num_repeated, num_alone)


def _asked(line: Line, layout: Layout) -> list[_Asked]:
    """What a row asks; nothing of one that has no pair to give, such as a tie."""
    assert line.row is not None
    row, origin = line.row, line.origin
    if "responses" in row and layout.format is None:
        prompt = parse_prompt(_without(row, "responses"), origin=origin)
        return [_Asked(prompt, _responses(row["responses"], origin))]
    try:
        pairs = read_row(line, PREFERENCES, layout).records
    except RowFault as error:
        if error.fault.code != "E201":
            raise
        raise DataError(
            f"{error.fault}; a row to judge needs a prompt and responses, or a prompt, chosen and "
            "rejected (palate sample writes the first kind)"
        ) from None
    return [_of_people(pair) for pair in pairs]


def _of_people(pair: Preference) -> _Asked:
    # In an order that does not tell which one they chose.
    responses = [_Response(text) for text in sorted((pair.chosen, pair.rejected))]
    return _Asked(Prompt(pair.prompt, origin=pair.origin), responses, pair.chosen)


def _candidates(asked: _Asked, distinct: Sequence[_Response]) -> Candidates:
    texts = tuple(one.text for one in distinct)
    scores = tuple(one.score for one in distinct if one.score is not None)
    return Candidates(
        asked.prompt,
        texts,
        scores if len(scores) == len(texts) else None,
        None if asked.preferred is None else texts.index(asked.preferred),
    )


def read_labels(path: str | Path) -> dict[tuple[str, frozenset[str]], str]:
    """What people prefer: (prompt, both responses) → the response that they chose.

    Raises:
        DataError: a row is no preference.
    """
    found: dict[tuple[str, frozenset[str]], str] = {}
    for line in lines_of(path):
        if line.fault is not None or line.row is None:
            raise DataError(str(line.fault or f"{line.origin}: no object"))
        pair = parse_preference(line.row, origin=line.origin)
        found[label_key(pair.prompt, pair.chosen, pair.rejected)] = pair.chosen
    return found


def label_key(prompt: Text, one: str, two: str) -> tuple[str, frozenset[str]]:
    """Names a comparison, whichever response stands first."""
    return prompt_key(prompt), frozenset((one, two))


def _responses(value: object, origin: str) -> list[_Response]:
    if not isinstance(value, list):
        raise DataError(f"{origin}: responses is {quote(value)}, not a list")
    return [_response(one, f"{origin}: responses[{i}]") for i, one in enumerate(value)]


def _response(value: object, place: str) -> _Response:
    if isinstance(value, str):
        return _Response(value)
    text = value.get("text") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(text, str):
        raise DataError(f"{place} is {quote(value)}; it must be text, or an object with a text")
    stopped, score = value.get("stopped", True), value.get("score")
    if not isinstance(stopped, bool):
        raise DataError(f"{place}: stopped is {quote(stopped)}; it must be true or false")
    if score is None:
        return _Response(text, stopped)
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise DataError(f"{place}: score is {quote(score)}; it must be a finite number")
    return _Response(text, stopped, float(score))


def _without(row: Mapping[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in row.items() if key != name}


def asked_key(prompt: Prompt) -> str:
    """A prompt with its columns: what judges by an answer column judges equal words otherwise."""
    return prompt_key(prompt.prompt) + json.dumps(dict(prompt.columns), sort_keys=True, default=str)
