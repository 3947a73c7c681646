"""Names of columns that mean something though no format has them, and slips of those that do."""

from difflib import get_close_matches

# What people keep beside their rows, and what Palate's own commands write and read there
# (docs/data.md, docs/judging.md, docs/labels.md): no misspelt name.
USUAL_COLUMNS = frozenset(
    (
        *("id", "source", "tags", "gold", "annotator", "created_at", "language", "question_id"),
        *("score_chosen", "score_rejected", "rule", "verdicts", "why", "scores", "tools"),
        *("model", "model_a", "model_b", "winner", "judge", "turn", "sampling", "responses"),
        *("response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie"),
        *("overall_preference", "individual_preference", "domain"),
    )
)
# The names that people write by hand. Of rarer ones a near name is as likely somebody's own.
_WRITTEN = ("prompt", "chosen", "rejected", "completion", "messages", "label", "weight", "margin")
_NEAR = 0.8


def slip_of(column: str) -> str:
    """The name of which this is a slip ("choosen"); "" where it is none.

    A name that only has one letter more at its end ("labels") may be a column of its own.
    """
    near = get_close_matches(column, _WRITTEN, n=1, cutoff=_NEAR)
    return near[0] if near and near[0] not in (column, column.removesuffix("s")) else ""
