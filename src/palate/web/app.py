"""The labelling application: addresses, who may use them, and what errors look like.

Addresses hold no paths and no names; a question is known by its number. GET changes nothing, with
one exception that is meant: a link's secret is used up.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from palate.collection.state import Role
from palate.errors import StoreError, UsageError
from palate.web import admin, api, downloads, pages
from palate.web.desk import Desk, Visit
from palate.web.payload import (
    Decision,
    Exclusion,
    Fetch,
    Invitation,
    Remark,
    Ruling,
    Undo,
    read_payload,
)

MOST_BYTES = 1_000_000
"""Of a request's body."""

TOKEN_HEADER = "x-palate-token"

Handler = Callable[[Request], Awaitable[Response]]
Payload = TypeVar("Payload")

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


def label_app(desk: Desk) -> Starlette:
    """The application; put `palate.web.gate.Gate` before it."""
    routes = [
        Route("/", _page(pages.label, "annotate")),
        Route("/api/questions", _write(api.questions, Fetch, "annotate"), methods=["POST"]),
        Route("/api/decisions", _write(api.decide, Decision, "annotate"), methods=["POST"]),
        Route("/api/undo", _write(api.undo, Undo, "annotate"), methods=["POST"]),
        Route("/api/remarks", _write(api.remark, Remark, "annotate"), methods=["POST"]),
        Route("/quality", _page(pages.quality, "admin")),
        Route("/disagreements", _page(pages.disagreements, "admin")),
        Route("/export/{name}", _download),
        Route("/api/rulings", _write(admin.rule, Ruling, "admin"), methods=["POST"]),
        Route("/api/exclusions", _write(admin.exclude, Exclusion, "admin"), methods=["POST"]),
        Route("/api/invitations", _write(admin.invite, Invitation, "admin"), methods=["POST"]),
        Route("/static/{name}", _static()),
        Route("/health", _health),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _refused,
            UsageError: _refused,
            StoreError: _refused,
            Exception: _broken,
        },
        max_body_size=MOST_BYTES,
    )
    app.router.redirect_slashes = False  # an address is right or it is none
    app.state.desk = desk
    return app


def _page(show: Callable[[Visit], str], role: Role) -> Handler:
    """A page of HTML for those who have at least a role."""

    async def answer(request: Request) -> Response:
        desk: Desk = request.app.state.desk
        secret = request.query_params.get("t")
        if secret is not None and request.method == "GET":
            return await run_in_threadpool(_signed_in, desk, request, secret)
        visit = await run_in_threadpool(_visit, request, role)
        return pages.html(await run_in_threadpool(show, visit))

    return answer


def _write(
    act: Callable[[Visit, Payload], dict[str, Any]], kind: type[Payload], role: Role
) -> Handler:
    """An act with a checked body, for pages that hold the token of their cookie."""

    async def answer(request: Request) -> Response:
        desk: Desk = request.app.state.desk
        visit = await run_in_threadpool(_visit, request, role)
        if not desk.people.may_write(request.cookies, request.headers.get(TOKEN_HEADER, "")):
            raise HTTPException(403, "the token of the page is missing or old; load the page again")
        sent = read_payload(await request.body(), kind)
        return JSONResponse(await run_in_threadpool(act, visit, sent))

    return answer


async def _download(request: Request) -> Response:
    visit = await run_in_threadpool(_visit, request, "admin")
    return await run_in_threadpool(downloads.export, visit, request.path_params["name"])


def _visit(request: Request, role: Role) -> Visit:
    desk: Desk = request.app.state.desk
    annotator = desk.people.who(request.cookies)
    if annotator is None:
        raise HTTPException(401, "not signed in; open the link that was printed for you")
    if role == "admin" and annotator.role != "admin":
        raise HTTPException(403, "only an admin may see this")
    return Visit(desk, annotator, desk.people.write_token(request.cookies))


def _signed_in(desk: Desk, request: Request, secret: str) -> Response:
    annotator = desk.people.redeem(secret)
    if annotator is None and desk.people.who(request.cookies) is None:
        raise HTTPException(403, "this link has been used, or was printed by an earlier start")
    response = RedirectResponse("/", 303)
    if annotator is not None:
        is_secure = f"https://{request.headers['host']}" == desk.address
        desk.people.sign_in(response, annotator, is_secure=is_secure)
    return response


def _static() -> Handler:
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
    return pages.notice(request, status, message)


async def _broken(request: Request, error: Exception) -> Response:
    # Not the request itself: its address may hold a secret.
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"{Path(last.filename).name}:{last.lineno}"
    logging.getLogger("palate").error(
        "error: a request failed at %s (%s: %s)", place, type(error).__name__, error
    )
    return await _refused(
        request, HTTPException(500, "a defect of Palate; it is told where palate label runs")
    )
