"""HTML of the pages; templates escape everything that they are given."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from palate.web.desk import Visit
from palate.web.payload import FLAGS
from palate.web.prompts import turns

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
_TITLES = {
    401: "This page needs your link",
    403: "Not for you, or not any more",
    404: "There is no such page",
}

_TEMPLATES = Environment(
    loader=PackageLoader("palate.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def html(text: str, status: int = 200) -> HTMLResponse:
    """A page as a response."""
    return HTMLResponse(text, status)


def label(visit: Visit) -> str:
    """The page where votes are cast; pairs come to it as JSON."""
    version, guidelines = visit.desk.guidelines()
    return _render(
        "label",
        visit,
        guidelines=guidelines,
        guideline_version=version,
        flags=FLAGS,
        collection=visit.desk.collection_name(),
    )


def quality(visit: Visit) -> str:
    """How good the votes are, who votes, and what may be taken away."""
    store = visit.desk.store
    export = store.export()
    ids = {one.name: one.id for one in store.annotators()}
    return _render(
        "quality",
        visit,
        report=store.quality(),
        progress=store.progress(visit.annotator.id),
        votes_per_item=store.settings.votes_per_item,
        ids=ids,
        num_exported=len(export.rows),
        left_out={_LEFT_OUT.get(reason, reason): n for reason, n in export.left_out.items()},
    )


def disagreements(visit: Visit) -> str:
    """Pairs on which votes differ, and flagged ones, to be decided."""
    contests = visit.desk.store.contests(visit.annotator.id)
    shown = [
        {"contest": contest, "prompt": turns(contest.prompt)}
        for contest in contests[:MOST_CONTESTS]
    ]
    return _render(
        "disagreements",
        visit,
        shown=shown,
        num_contests=len(contests),
        num_open=sum(contest.ruling is None for contest in contests),
        choices=_CHOICES,
        flags=FLAGS,
    )


def notice(request: Request, status: int, message: str) -> HTMLResponse:
    """Why there is no page."""
    # After a link in a chat or a mail, browsers hold a strict cookie back for that one request; a
    # page of ours that asks again gets it.
    asks_again = status == 401 and request.headers.get("sec-fetch-site") == "cross-site"
    page = _TEMPLATES.get_template("notice.html.jinja").render(
        title=_TITLES.get(status, "That did not work"), message=message, asks_again=asks_again
    )
    return html(page, status)


def _render(name: str, visit: Visit, **content: Any) -> str:
    template = _TEMPLATES.get_template(f"{name}.html.jinja")
    return template.render(visit=visit, page=name, **content)
