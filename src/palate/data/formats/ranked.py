"""Several responses to one prompt, ranked or scored, and the rules that make pairs of them.

    ranking     {prompt, responses, ranking: [1, 3, 2]} (1 is best; equal ranks are ties), or
                {prompt, answers: [{answer, rank}]}; named by --format, also {prompt, responses}
                from best to worst
    scored      {prompt, responses, scores} or {instruction, completions: [{response,
                overall_score}]}; more is better

A pair is only made of two responses of different rank; which ones, `Layout.rule` says. Where
several share the highest or the lowest rank, the one that stands first in the row is taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise

from palate.data.faults import Refusal, quote
from palate.data.formats.cells import Row, finite, kind, require, text, weight
from palate.data.formats.format import Format, Record
from palate.data.hh import is_dialogue, parse_dialogue
from palate.data.layout import Layout
from palate.data.records import Preference, Text, Turn
from palate.data.turns import check_prompt, parse_text, parse_turns

_SCORES = ("overall_score", "score")


def ranked_pairs(
    prompt: Text,
    texts: Sequence[str],
    scores: Sequence[float],
    row: Row,
    layout: Layout,
    origin: str,
    *,
    scored: bool = False,
) -> list[Record]:
    """Pairs of one prompt's responses, by the layout's rule.

    Args:
        prompt: of all the responses.
        texts: the responses.
        scores: of each, more is better; ranks are given with a minus.
        row: what they stand in, for its weight.
        layout: with the rule, and whether a pair's margin is the difference of its scores.
        origin: the row's place.
        scored: whether scores are ratings; they are then kept beside the pair.

    Raises:
        Refusal: E401 for an empty response, E502 for less than two; W503 where no two differ.
    """
    if len(texts) < 2:
        raise Refusal("E502", f"{len(texts)} responses; a ranking needs two")
    for i, response in enumerate(texts):
        if not response.strip():
            raise Refusal("E401", f"response {i + 1} of {len(texts)} is empty")
    counts, pairs = weight(row), list[Record]()
    for better, worse in _chosen_pairs(scores, layout.rule):
        if texts[better].strip() == texts[worse].strip():
            continue
        kept = {"score_chosen": scores[better], "score_rejected": scores[worse]} if scored else {}
        margin = scores[better] - scores[worse] if layout.margins else None
        pairs.append(Preference(prompt, texts[better], texts[worse], counts, margin, origin, kept))
    if not pairs:
        raise Refusal("W503", f"none of the {len(texts)} responses is rated above another")
    return pairs


def _chosen_pairs(scores: Sequence[float], rule: str) -> Iterator[tuple[int, int]]:
    """Indices (better, worse), better ones first; of equal score the first in the row first."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    if rule == "best-worst":
        best = order[0]
        worst = next(i for i in order if scores[i] == scores[order[-1]])
        if scores[best] > scores[worst]:
            yield best, worst
        return
    levels = sorted({*scores}, reverse=True)
    neighbours = {*pairwise(levels)}
    for better, worse in combinations(order, 2):
        step = (scores[better], scores[worse])
        if step[0] > step[1] and (rule == "all" or step in neighbours):
            yield better, worse


def asked(row: Row) -> Text:
    """The prompt of a row, under whichever name it has."""
    name = next((n for n in ("prompt", "instruction", "query") if n in row), "prompt")
    if kind(row, name) == "turns":
        turns = parse_turns(row[name], name=name)
        check_prompt(turns, name=name)
        return turns
    question = text(row, name)
    if name == "instruction":
        turns = (Turn("user", question),)
    elif is_dialogue(question):
        turns = parse_dialogue(question)
        if turns[-1].role == "assistant" and not turns[-1].content.strip():
            turns = turns[:-1]
    else:
        return question
    check_prompt(turns, name=name)
    return turns


def _read_ranking(row: Row, layout: Layout, origin: str) -> list[Record]:
    if "answers" in row:
        entries = _list(row, "answers")
        texts = [_field(e, ("answer", "response"), f"answers[{i}]") for i, e in enumerate(entries)]
        ranks = [_score(e, ("rank",), f"answers[{i}]") for i, e in enumerate(entries)]
    else:
        texts = _texts(row)
        name = next((n for n in ("ranking", "ranks", "rank") if n in row), None)
        ranks = _numbers(row, name, len(texts)) if name else [float(i) for i in range(len(texts))]
    return ranked_pairs(asked(row), texts, [-rank for rank in ranks], row, layout, origin)


def _read_scored(row: Row, layout: Layout, origin: str) -> list[Record]:
    if "completions" in row:
        entries = _list(row, "completions")
        names = ("response", "completion", "text")
        texts = [_field(e, names, f"completions[{i}]") for i, e in enumerate(entries)]
        scores = [_score(e, _SCORES, f"completions[{i}]") for i, e in enumerate(entries)]
    else:
        texts = _texts(row)
        scores = _numbers(row, "scores", len(texts))
    return ranked_pairs(asked(row), texts, scores, row, layout, origin, scored=True)


def _list(row: Row, name: str) -> Sequence[object]:
    value = require(row, name)
    if not isinstance(value, list | tuple):
        raise Refusal("E203", f"{name} is {quote(value)}, not a list")
    return value


def _texts(row: Row) -> list[str]:
    return [parse_text(v, name=f"responses[{i}]") for i, v in enumerate(_list(row, "responses"))]


def _numbers(row: Row, name: str, count: int) -> list[float]:
    values = [finite(value, f"{name}[{i}]") for i, value in enumerate(_list(row, name))]
    if len(values) != count:
        raise Refusal("E502", f"{name} has {len(values)} numbers for {count} responses")
    return values


def _field(entry: object, names: Sequence[str], place: str) -> str:
    found = _found(entry, names, place)
    return parse_text(found, name=place)


def _score(entry: object, names: Sequence[str], place: str) -> float:
    return finite(_found(entry, names, place), place)


def _found(entry: object, names: Sequence[str], place: str) -> object:
    if not isinstance(entry, Mapping):
        raise Refusal("E203", f"{place} is {quote(entry)}, not an object")
    found = next((entry[name] for name in names if entry.get(name) is not None), None)
    if found is None:
        raise Refusal("E502", f"{place} has no {' or '.join(names)}")
    return found


def _is_ranking(row: Row) -> bool:
    answers = row.get("answers")
    listed = isinstance(answers, list | tuple) and bool(answers)
    ranked = any(isinstance(row.get(name), list | tuple) for name in ("ranking", "ranks", "rank"))
    return (listed and "chosen" not in row) or ("responses" in row and ranked)


def _is_scored(row: Row) -> bool:
    return isinstance(row.get("completions"), list | tuple) or (
        "responses" in row and "scores" in row
    )


def both_options(row: Row) -> frozenset[str]:
    """What ranked responses heed of a layout: the rule, and whether margins are asked for."""
    return frozenset({"rule", "margins"})


_ASKED = {"prompt", "instruction", "query", "responses", "weight"}

RANKING = Format(
    "ranking", "pairs", "Several responses with ranks, 1 the best.",
    frozenset({*_ASKED, "ranking", "ranks", "rank", "answers"}), _is_ranking,
    lambda _: "ranking", _read_ranking, ask=asked, heeds=both_options,
)  # fmt: skip
SCORED = Format(
    "scored", "pairs", "Several responses with scores, more is better (UltraFeedback).",
    frozenset({*_ASKED, "scores", "completions"}), _is_scored,
    lambda _: "scored responses", _read_scored, ask=asked, heeds=both_options,
)  # fmt: skip
