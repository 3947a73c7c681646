"""What every set of pages does with a request: who asks, what they sent, what errors look like.

`palate.web.app` (labelling) and `palate.web.watch` are tables of addresses; the rest is here. GET
changes nothing, with one exception that is meant: a link's secret is used up.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from palate.errors import PalateError, StoreError
from palate.web.payload import read_payload
from palate.web.rendering import notice
from palate.web.visit import DeskT, Served, Visit

MOST_BYTES = 1_000_000
"""Of a request's body."""

TOKEN_HEADER = "x-palate-token"

Handler = Callable[[Request], Awaitable[Response]]
Payload = TypeVar("Payload")

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


def application(desk: Served, routes: Sequence[Route]) -> Starlette:
    """The addresses of a desk, its static files and its errors; put `Gate` before it."""
    app = Starlette(
        routes=[*routes, Route("/static/{name}", static()), Route("/health", _health)],
        exception_handlers={
            HTTPException: _refused,
            PalateError: _refused,
            Exception: _broken,
        },
        max_body_size=MOST_BYTES,
    )
    app.router.redirect_slashes = False  # an address is right or it is none
    app.state.desk = desk
    return app


def page(show: Callable[[Visit[DeskT]], str], *, admin: bool) -> Handler:
    """A page of HTML for everybody who is signed in, or for admins alone."""

    async def answer(request: Request) -> Response:
        desk: Served = request.app.state.desk
        secret = request.query_params.get("t")
        if secret is not None and request.method == "GET":
            return await run_in_threadpool(_signed_in, desk, request, secret)
        visit = await run_in_threadpool(visit_of, request, admin=admin)
        return HTMLResponse(await run_in_threadpool(show, visit))

    return answer


def write(
    act: Callable[[Visit[DeskT], Payload], dict[str, Any]], kind: type[Payload], *, admin: bool
) -> Handler:
    """An act with a checked body, for pages that hold the token of their cookie."""

    async def answer(request: Request) -> Response:
        desk: Served = request.app.state.desk
        visit = await run_in_threadpool(visit_of, request, admin=admin)
        if not desk.people.may_write(request.cookies, request.headers.get(TOKEN_HEADER, "")):
            raise HTTPException(403, "the token of the page is missing or old; load the page again")
        sent = read_payload(await request.body(), kind)
        return JSONResponse(await run_in_threadpool(act, visit, sent))

    return answer


def visit_of(request: Request, *, admin: bool) -> Visit[Any]:
    """Who is asking.

    Raises:
        HTTPException: 401, nobody who is known; 403, not an admin.
    """
    desk: Served = request.app.state.desk
    annotator = desk.people.who(request.cookies)
    if annotator is None:
        raise HTTPException(401, "not signed in; open the link that was printed for you")
    if admin and annotator.role != "admin":
        raise HTTPException(403, "only an admin may see this")
    return Visit(desk, annotator, desk.people.write_token(request.cookies))


def _signed_in(desk: Served, request: Request, secret: str) -> Response:
    annotator = desk.people.redeem(secret)
    if annotator is None and desk.people.who(request.cookies) is None:
        raise HTTPException(403, "this link has been used, or was printed by an earlier start")
    response = RedirectResponse("/", 303)
    if annotator is not None:
        is_secure = f"https://{request.headers['host']}" == desk.address
        desk.people.sign_in(response, annotator, is_secure=is_secure)
    return response


def static() -> Handler:
    """Scripts and styles."""
    # Read once: no address ever becomes a path.
    folder = files("palate.web") / "static"
    found = {one.name: one.read_bytes() for one in folder.iterdir()}

    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in found:
            raise HTTPException(404, "there is no such page")
        return Response(found[name], headers={"Content-Type": _TYPES[name.rpartition(".")[2]]})

    return answer


async def _health(request: Request) -> Response:
    return JSONResponse({"ok": True})


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        status, message = error.status_code, error.detail
    else:
        # 507: a full disk passes, so the page tries again; the others are final.
        status, message = (507 if isinstance(error, StoreError) else 409), str(error)
    if request.scope["path"].startswith("/api/"):
        return JSONResponse({"error": message}, status)
    return notice(request, status, message)


async def _broken(request: Request, error: Exception) -> Response:
    # Not the request itself: its address may hold a secret.
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"{Path(last.filename).name}:{last.lineno}"
    logging.getLogger("palate").error(
        "error: a request failed at %s (%s: %s)", place, type(error).__name__, error
    )
    command = request.app.state.desk.command
    return await _refused(
        request, HTTPException(500, f"a defect of Palate; it is told where {command} runs")
    )
