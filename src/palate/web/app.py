"""The labelling application: its addresses, and who may use them.

Addresses hold no paths and no names; a question is known by its number.
"""

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from palate.web import admin, api, downloads, pages
from palate.web.desk import Desk
from palate.web.entrance import application, page, visit_of, write
from palate.web.payload import (
    Decision,
    Exclusion,
    Fetch,
    Invitation,
    Remark,
    Ruling,
    Undo,
)


def label_app(desk: Desk) -> Starlette:
    """The application; put `palate.web.gate.Gate` before it."""
    routes = [
        Route("/", page(pages.label, admin=False)),
        Route("/api/questions", write(api.questions, Fetch, admin=False), methods=["POST"]),
        Route("/api/decisions", write(api.decide, Decision, admin=False), methods=["POST"]),
        Route("/api/undo", write(api.undo, Undo, admin=False), methods=["POST"]),
        Route("/api/remarks", write(api.remark, Remark, admin=False), methods=["POST"]),
        Route("/quality", page(pages.quality, admin=True)),
        Route("/disagreements", page(pages.disagreements, admin=True)),
        Route("/export/{name}", _download),
        Route("/api/rulings", write(admin.rule, Ruling, admin=True), methods=["POST"]),
        Route("/api/exclusions", write(admin.exclude, Exclusion, admin=True), methods=["POST"]),
        Route("/api/invitations", write(admin.invite, Invitation, admin=True), methods=["POST"]),
    ]
    return application(desk, routes)


async def _download(request: Request) -> Response:
    visit = await run_in_threadpool(visit_of, request, admin=True)
    return await run_in_threadpool(downloads.export, visit, request.path_params["name"])
