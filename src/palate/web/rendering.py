"""Templates → HTML; templates escape everything that they are given."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from palate.web.visit import Visit

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


def render(name: str, visit: Visit[Any], **content: Any) -> str:
    """The page of a template."""
    template = _TEMPLATES.get_template(f"{name}.html.jinja")
    return template.render(visit=visit, page=name, command=visit.desk.command, **content)


def notice(request: Request, status: int, message: str) -> HTMLResponse:
    """Why there is no page."""
    # After a link in a chat or a mail, browsers hold a strict cookie back for that one request; a
    # page of ours that asks again gets it.
    asks_again = status == 401 and request.headers.get("sec-fetch-site") == "cross-site"
    page = _TEMPLATES.get_template("notice.html.jinja").render(
        title=_TITLES.get(status, "That did not work"),
        message=message,
        asks_again=asks_again,
        command=request.app.state.desk.command,
    )
    return HTMLResponse(page, status)
