"""From votes to pairs that can be trained on: a pure function of the log, and never by lot.

    majority     one response has more than half of a pair's votes (ties and "both bad" are votes
                 for neither)
    unanimous    all of a pair's votes are for one response
    adjudicated  somebody decided the pair

A ruling stands above the votes under every rule. What a rule does not decide is left out and
counted by reason. Gold pairs and tests are not exported.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Literal

from palate.collection.events import Verdict
from palate.collection.items import Item
from palate.collection.state import State
from palate.data.delimited import write_cell
from palate.data.records import Preference
from palate.data.rows import to_row
from palate.errors import UsageError

Rule = Literal["majority", "unanimous", "adjudicated"]
COLUMNS = (
    "prompt", "chosen", "rejected", "id", "annotator", "source", "created_at", "weight", "tags",
)  # fmt: skip
Weights = Literal["agreement", "equal"]


@dataclass(frozen=True)
class Decision:
    """What a rule makes of a pair.

    Attributes:
        item: its id.
        verdict: the response that is chosen; None where the pair is left out.
        reason: why it is left out: incomplete, tie, both_bad, disagreement, not_adjudicated,
            flagged or no_votes; "" where it is not.
        support: share of the votes that are for the chosen response, in (0, 1]; 1 of a ruling.
        annotators: whose votes were counted, or who decided.
        time: of the last vote or the ruling, seconds since 1970.
    """

    item: int
    verdict: Verdict | None
    reason: str = ""
    support: float = 1.0
    annotators: tuple[str, ...] = ()
    time: float = 0.0


@dataclass(frozen=True)
class Export:
    """What a rule made of all pairs.

    Attributes:
        rows: a decided pair each, in the order of the pairs.
        left_out: how many pairs were left out, by reason.
    """

    rows: list[dict[str, Any]]
    left_out: dict[str, int]


def decide(state: State, item: int, *, rule: Rule, min_votes: int | None = None) -> Decision:
    """Decide one pair by a rule.

    Args:
        state: what follows from the log.
        item: id of the pair.
        rule: of the module's table.
        min_votes: votes that a pair needs; None: all that were wanted.
    """
    ruling = state.adjudications.get(item)
    if ruling is not None and ruling.verdict is not None:
        who = (state.annotators[ruling.annotator].name,)
        if ruling.verdict in ("tie", "both_bad"):
            return Decision(item, None, ruling.verdict)
        return Decision(item, ruling.verdict, annotators=who, time=ruling.time)
    if rule == "adjudicated":
        return Decision(item, None, "not_adjudicated")
    if state.flagged_on(item):
        return Decision(item, None, "flagged")
    votes = state.votes_on(item)
    if not votes:
        return Decision(item, None, "no_votes")
    if len(votes) < (state.settings.votes_per_item if min_votes is None else min_votes):
        return Decision(item, None, "incomplete")
    counts = Counter(showing.verdict for showing in votes)
    winner, num = counts.most_common(1)[0]
    is_decided = num == len(votes) if rule == "unanimous" else 2 * num > len(votes)
    if not is_decided or winner is None:
        return Decision(item, None, "disagreement")
    if winner in ("tie", "both_bad"):
        return Decision(item, None, winner)
    return Decision(
        item,
        winner,
        support=num / len(votes),
        annotators=tuple(state.annotators[showing.annotator].name for showing in votes),
        time=max(showing.decision.time for showing in votes if showing.decision),
    )


def export_rows(
    state: State,
    items: Iterable[tuple[int, Item]],
    *,
    rule: Rule = "majority",
    weights: Weights = "agreement",
    min_votes: int | None = None,
) -> Export:
    """Rows for `palate dpo`, in the order of the pairs.

    Args:
        state: what follows from the log.
        items: all pairs with their ids.
        rule: of the module's table.
        weights: "agreement": a pair weighs the share of its votes that are for the chosen response;
            "equal": 1.
        min_votes: votes that a pair needs, ≥ 1; None: all that were wanted.

    Raises:
        UsageError: `min_votes` is below 1.
    """
    if min_votes is not None and min_votes < 1:
        raise UsageError(f"min_votes is {min_votes}; it must be at least 1")
    rows: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    for number, item in items:
        if item.gold is not None:
            continue
        decision = decide(state, number, rule=rule, min_votes=min_votes)
        if decision.verdict is None:
            left_out[decision.reason] += 1
        else:
            rows.append(_row(item, decision, weights))
    return Export(rows, dict(sorted(left_out.items())))


def flat_row(row: Mapping[str, Any]) -> dict[str, str]:
    """An exported row for CSV: lists as JSON text, and nothing that a spreadsheet would run."""
    return {name: write_cell(value) for name, value in row.items()}


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Exported rows as a table with a header."""
    text = StringIO()
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    table.writerows(flat_row(row) for row in rows)
    return text.getvalue()


def _row(item: Item, decision: Decision, weights: Weights) -> dict[str, Any]:
    is_first = decision.verdict == "first"
    pair = Preference(
        item.prompt,
        chosen=item.first if is_first else item.second,
        rejected=item.second if is_first else item.first,
    )
    return to_row(pair) | {
        "id": item.name or item.key[:16],
        "annotator": list(decision.annotators),
        "source": item.source,
        "created_at": datetime.fromtimestamp(decision.time, UTC).isoformat(timespec="seconds"),
        "weight": decision.support if weights == "agreement" else 1.0,
        "tags": list(item.tags),
    }
