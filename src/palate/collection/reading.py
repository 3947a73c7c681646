"""A file of responses → pairs to vote on; which one a file calls chosen is forgotten.

    pairs       any format of pairs that the data room reads
    unjudged    {prompt, responses: [a, b, …]}: every two of them; {prompt, response_a, response_b}

Optional columns: id, source, tags (a list of texts), gold (true: the first, or chosen, response is
known to be better; or "tie", "both_bad"), margin (a reward model's: how much better it finds the
first).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from palate.collection.events import Verdict
from palate.collection.items import Item
from palate.data.doors import PREFERENCES
from palate.data.faults import Fault, RowFault, fault, quote
from palate.data.files import lines_of
from palate.data.heeded import heeding
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.lines import Line
from palate.data.records import Preference
from palate.data.sources import Reading, describe_bad
from palate.data.stream import stream
from palate.errors import DataError

_JUDGED = ("ranking", "ranks", "rank", "scores", "chosen", "winner_model_a")
_GOLD: dict[object, Verdict] = {True: "first", "tie": "tie", "both_bad": "both_bad"}


def read_items(
    path: str | Path,
    *,
    layout: Layout = AS_THEY_SAY,
    scores: str | Path | None = None,
    skip_bad: bool = False,
) -> list[Item]:
    """Read pairs to vote on.

    Args:
        path: a file of any kind that the data room reads.
        layout: what a person says of its rows.
        scores: rows that `palate score --output` wrote of the same file; their margin is taken.
        skip_bad: leave bad rows out instead of refusing the file.

    Raises:
        DataError: a bad row (without `skip_bad`), no usable row, or an unreadable file.
    """
    margins = _margins(Path(scores)) if scores is not None else {}
    items: list[Item] = []
    pairs: list[Preference] = []
    faults: list[Fault] = []
    num_read = num_bad = 0
    lines = lines_of(path, layout)
    if layout.format is None:  # else somebody has said which pairs the rows are
        lines = _unjudged(lines)
    for read in heeding(stream(lines, PREFERENCES, layout, keep_columns=True), layout):
        num_read += 1
        told = list(read.faults)
        try:
            items += [_item(pair, margins) for pair in read.records]
            pairs += read.records
        except RowFault as refused:
            told = [refused.fault]
        faults += told
        num_bad += any(found.severity == "error" for found in told)
    if not num_read:
        raise DataError(f"{path}: no rows; the file is empty or blank")
    if not items or (num_bad and not skip_bad):
        reading = Reading(pairs, num_read, num_bad, faults)
        raise DataError(describe_bad(reading, str(path), PREFERENCES, skip_bad))
    return items


def _unjudged(lines: Iterable[Line]) -> Iterator[Line]:
    """Rows of unjudged responses as one pair a row; other rows as they are."""
    for line in lines:
        row = line.row
        if row is None or any(name in row for name in _JUDGED):
            yield line
        elif "response_a" in row and "response_b" in row:
            rest = {k: v for k, v in row.items() if k not in ("response_a", "response_b")}
            yield replace(
                line,
                row=rest | {"chosen": row["response_a"], "rejected": row["response_b"]},
            )
        elif isinstance(responses := row.get("responses"), list) and len(responses) > 1:
            rest = {k: v for k, v in row.items() if k != "responses"}
            for one, other in combinations(responses, 2):
                yield replace(line, row=rest | {"chosen": one, "rejected": other})
        else:
            yield line


def _item(pair: Preference, margins: Mapping[str, float]) -> Item:
    columns, origin = pair.columns, pair.origin
    name, source, tags = (columns.get(key) for key in ("id", "source", "tags"))
    gold = columns.get("gold", False)
    if gold is not False and gold not in _GOLD:
        raise _wrong(origin, "gold", gold, 'true, false, "tie" or "both_bad"')
    if tags is not None and not _are_texts(tags):
        raise _wrong(origin, "tags", tags, "a list of texts")
    return Item(
        pair.prompt,
        pair.chosen,
        pair.rejected,
        source=origin if source is None else str(source),
        name="" if name is None else str(name),
        tags=tuple(tags) if isinstance(tags, list) else (),
        gold=_GOLD[gold] if gold is not False else None,
        margin=margins.get(origin, pair.margin),
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _wrong(origin: str, column: str, value: object, wanted: str) -> RowFault:
    return RowFault(fault("E203", f"{column} is {quote(value)}, not {wanted}", origin=origin))


def _margins(path: Path) -> dict[str, float]:
    """Margins by the place of their pair, as `palate score --output` writes them."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {str(row["origin"]): float(row["margin"]) for row in rows}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: no rows of `palate score --output` ({type(error).__name__}: {error}); score "
            "the pairs again"
        ) from None
