"""NVIDIA's HelpSteer data: rated responses (2) and comparisons on seven steps (3).

    helpsteer2  {prompt, response, helpfulness, correctness, coherence, complexity, verbosity}:
                neighbouring rows with one prompt are its responses; helpfulness is the score
    helpsteer3  {context, response1, response2, overall_preference}: from -3 (response 1 is much
                better) to 3 (response 2 is); 0 is a tie

HelpSteer2's neighbours come to the reader as one row, {prompt, ratings: [their rows]}.

Reference: Wang et al. 2024, arXiv 2406.08673 (HelpSteer2); 2025, arXiv 2505.11475 (HelpSteer3).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from palate.data.faults import Refusal, quote
from palate.data.formats.cells import Row, check_pair, finite, kind, require, text, weight
from palate.data.formats.format import Format, Record
from palate.data.formats.ranked import asked, both_options, ranked_pairs
from palate.data.layout import Layout
from palate.data.lines import Line
from palate.data.records import Preference, Text
from palate.data.turns import check_prompt, parse_text, parse_turns

_RATINGS = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
_SCORE = "helpfulness"
_MOST = 3


def _is_rated(row: Row) -> bool:
    return {"prompt", "response", *_RATINGS} <= row.keys()


def _is_together(row: Row) -> bool:
    rated = row.get("ratings")
    if not isinstance(rated, list | tuple) or not rated:
        return False
    return all(isinstance(one, Mapping) and _SCORE in one for one in rated)


def neighbours(lines: Iterable[Line]) -> Iterator[Line]:
    """Neighbouring rated rows with one prompt → one row at the place of the first; others pass."""

    def prompt(line: Line) -> str | None:
        # As text, because a broken row's prompt may be anything.
        return repr(line.row["prompt"]) if line.row is not None and _is_rated(line.row) else None

    for name, group in groupby(lines, key=prompt):
        if name is None:
            yield from group
            continue
        first, *others = group
        rows = [line.row for line in (first, *others) if line.row is not None]
        yield Line(first.origin, {"prompt": rows[0]["prompt"], "ratings": rows})


def _read_rated(row: Row, layout: Layout, origin: str) -> list[Record]:
    rated = row.get("ratings", [row])
    if not isinstance(rated, list | tuple):
        raise Refusal("E203", f"ratings is {quote(rated)}, not a list")
    prompt = asked(row)
    texts, scores = [], []
    for number, one in enumerate(rated):
        if not isinstance(one, Mapping):
            raise Refusal("E203", f"ratings[{number}] is {quote(one)}, not an object")
        which = f" of response {number + 1} of {len(rated)}"
        texts.append(parse_text(require(one, "response"), name=f"response{which}"))
        scores.append(finite(require(one, _SCORE), f"{_SCORE}{which}"))
    if len(texts) == 1:
        raise Refusal("W503", "one response alone: no neighbouring row has its prompt")
    return ranked_pairs(prompt, texts, scores, row, layout, origin, scored=True)


def _context(row: Row) -> Text:
    if kind(row, "context") == "text":
        return text(row, "context")
    turns = parse_turns(row["context"], name="context")
    check_prompt(turns, name="context")
    return turns


def _read_steps(row: Row, layout: Layout, origin: str) -> list[Record]:
    step = finite(require(row, "overall_preference"), "overall_preference")
    if step not in range(-_MOST, _MOST + 1):
        raise Refusal(
            "E501", f"overall_preference is {step:g}, no whole number from -{_MOST} to {_MOST}"
        )
    prompt = _context(row)
    first, second = text(row, "response1"), text(row, "response2")
    if step == 0:
        raise Refusal("W501", "a tie")
    chosen, rejected = (first, second) if step < 0 else (second, first)
    check_pair(chosen=chosen, rejected=rejected)
    margin = abs(step) if layout.margins else None
    return [Preference(prompt, chosen, rejected, weight(row), margin, origin)]


HELPSTEER2 = Format(
    "helpsteer2", "pairs", "HelpSteer2: neighbouring rows of one prompt, scored by helpfulness.",
    frozenset({"prompt", "response", "ratings", "weight", *_RATINGS}),
    lambda row: _is_rated(row) or ("prompt" in row and _is_together(row)),
    lambda _: "rated responses", _read_rated, ask=asked, heeds=both_options,
)  # fmt: skip
HELPSTEER3 = Format(
    "helpsteer3", "pairs", "HelpSteer3: two responses and a preference from -3 to 3, 0 a tie.",
    frozenset({"context", "response1", "response2", "weight"}),
    lambda row: {"context", "response1", "response2"} <= row.keys(),
    lambda _: "preference in steps", _read_steps, ask=_context,
    heeds=lambda _: frozenset({"margins"}),
)  # fmt: skip
