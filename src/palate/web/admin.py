"""What the pages of an admin write: rulings, who votes and whose votes count."""

from typing import Any

from palate.errors import UsageError
from palate.web.desk import LabelVisit
from palate.web.payload import Exclusion, Invitation, Ruling


def rule(visit: LabelVisit, sent: Ruling) -> dict[str, Any]:
    """Decide a contested pair; an empty choice takes the word back."""
    visit.desk.store.adjudicate(
        visit.annotator.id,
        sent.item,
        sent.choice or None,
        note=sent.note,
        request=sent.request,
    )
    return {}


def exclude(visit: LabelVisit, sent: Exclusion) -> dict[str, Any]:
    """Let an annotator's votes count, or not."""
    store = visit.desk.store
    if sent.is_excluded:
        store.exclude(visit.annotator.id, sent.annotator, sent.reason)
    else:
        store.include(visit.annotator.id, sent.annotator)
    return {}


def invite(visit: LabelVisit, sent: Invitation) -> dict[str, Any]:
    """A link for somebody who is to vote; a new annotator where nobody has the name."""
    store, name = visit.desk.store, sent.name.strip()
    known = next((one for one in store.annotators() if one.name == name), None)
    if known is not None and known.role == "admin" and known != visit.annotator:
        raise UsageError(f"{name} is an admin; their link is printed where palate label runs")
    annotator = known or store.add_annotator(name)[0]
    return {"name": annotator.name, "link": visit.desk.link(annotator)}
