"""HTML of the labelling pages."""

from palate.web.desk import LabelVisit
from palate.web.payload import FLAGS
from palate.web.prompts import turns
from palate.web.rendering import render

MOST_CONTESTS = 20
"""Contested pairs on one page; those without a ruling come first."""

_CHOICES = {
    "left": "Response 1",
    "tie": "Tie",
    "both_bad": "Both bad",
    "right": "Response 2",
}
_LEFT_OUT = {
    "no_votes": "without a vote",
    "incomplete": "with too few votes",
    "disagreement": "on which votes differ",
    "tie": "tied",
    "both_bad": "both bad",
    "flagged": "flagged",
    "not_adjudicated": "without a ruling",
}


def label(visit: LabelVisit) -> str:
    """The page where votes are cast; pairs come to it as JSON."""
    version, guidelines = visit.desk.guidelines()
    return render(
        "label",
        visit,
        guidelines=guidelines,
        guideline_version=version,
        flags=FLAGS,
        collection=visit.desk.collection_name(),
    )


def quality(visit: LabelVisit) -> str:
    """How good the votes are, who votes, and what may be taken away."""
    store = visit.desk.store
    export = store.export()
    ids = {one.name: one.id for one in store.annotators()}
    return render(
        "quality",
        visit,
        report=store.quality(),
        progress=store.progress(visit.annotator.id),
        votes_per_item=store.settings.votes_per_item,
        ids=ids,
        num_exported=len(export.rows),
        left_out={_LEFT_OUT.get(reason, reason): n for reason, n in export.left_out.items()},
    )


def disagreements(visit: LabelVisit) -> str:
    """Pairs on which votes differ, and flagged ones, to be decided."""
    contests = visit.desk.store.contests(visit.annotator.id)
    shown = [
        {"contest": contest, "prompt": turns(contest.prompt)}
        for contest in contests[:MOST_CONTESTS]
    ]
    return render(
        "disagreements",
        visit,
        shown=shown,
        num_contests=len(contests),
        num_open=sum(contest.ruling is None for contest in contests),
        choices=_CHOICES,
        flags=FLAGS,
    )
