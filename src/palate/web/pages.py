"""HTML of the pages; templates escape everything that they are given."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from palate.web.desk import Visit
from palate.web.payload import FLAGS

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
