"""What the page of an annotator writes and gets back; `palate.web.app` says under which address.

Every function takes a visit (whose, and what they sent, checked) and returns JSON. Nothing here
says where a response came from, nor what a pair is shown for (a repeat looks like any other).
"""

from typing import Any

from palate.collection.answers import Question
from palate.web.desk import LabelVisit
from palate.web.identity import self_descriptions
from palate.web.payload import FLAGS, IDENTITY, SKIP, Decision, Fetch, Remark, Undo
from palate.web.prompts import turns

AHEAD = 2
"""Questions that a page holds: the one in view and the next, so that no vote waits for a fetch."""

LATE = (
    "Others voted on that pair meanwhile. Your vote is kept, and does not count for the pair."
)  # fmt: skip


def questions(visit: LabelVisit, sent: Fetch) -> dict[str, Any]:
    """The pairs that stand before an annotator, but those that the page has."""
    return {"questions": _more(visit, sent.have), "standing": standing(visit)}


def decide(visit: LabelVisit, sent: Decision) -> dict[str, Any]:
    """Write a vote or a skip; when this returns it is on the disk."""
    store, annotator = visit.desk.store, visit.annotator.id
    message = ""
    if sent.choice == SKIP:
        store.skip(annotator, sent.question, request=sent.request, latency_ms=sent.latency_ms)
    else:
        receipt = store.vote(
            annotator,
            sent.question,
            sent.choice,
            request=sent.request,
            latency_ms=sent.latency_ms,
        )
        message = LATE if receipt.is_late else ""
    if _is_to_flag(store.question(annotator, sent.question)):
        store.flag(annotator, sent.question, IDENTITY, request=f"{sent.request}-identity")
    return {
        "questions": _more(visit, sent.have),
        "standing": standing(visit),
        "message": message,
    }


def undo(visit: LabelVisit, sent: Undo) -> dict[str, Any]:
    """Take the last decision back; its question stands before the annotator again."""
    store, annotator = visit.desk.store, visit.annotator.id
    receipt = store.undo(annotator, request=sent.request)
    again = [one for one in store.questions(annotator) if one.id == receipt.question]
    return {
        "questions": [_shown(one) for one in again],
        "standing": standing(visit),
    }


def remark(visit: LabelVisit, sent: Remark) -> dict[str, Any]:
    """Keep a note and a flag beside a question."""
    store, annotator = visit.desk.store, visit.annotator.id
    store.note(annotator, sent.question, sent.note, request=f"{sent.request}-note")
    store.flag(annotator, sent.question, sent.flag, request=f"{sent.request}-flag")
    return {"standing": standing(visit)}


def standing(visit: LabelVisit) -> dict[str, Any]:
    """How far the work is."""
    progress = visit.desk.store.progress(visit.annotator.id)
    return {
        "done": progress.num_votes,
        "total": progress.num_wanted,
        "mine": progress.num_mine,
        "can_undo": progress.num_mine + progress.num_skipped > 0,
    }


def _more(visit: LabelVisit, have: list[int]) -> list[dict[str, Any]]:
    found = visit.desk.store.questions(visit.annotator.id, count=AHEAD)
    return [_shown(one) for one in found if one.id not in have]


def _is_to_flag(question: Question) -> bool:
    """Whether a response says what it is, and the annotator has neither flagged that nor denied it.

    From the texts, each time: a vote may come to a server that never handed the question out.
    """
    is_said = question.flag or IDENTITY in question.flags_taken_back
    return not is_said and any(map(self_descriptions, (question.left, question.right)))


def _shown(question: Question) -> dict[str, Any]:
    named = {"left": self_descriptions(question.left), "right": self_descriptions(question.right)}
    return {
        "id": question.id,
        "prompt": turns(question.prompt),
        "left": question.left,
        "right": question.right,
        "named": named,
        "flag": question.flag if question.flag in FLAGS else "",
        "note": question.note,
    }
