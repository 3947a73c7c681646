"""The watching application: its addresses. They hold no paths and no names; a run is a number."""

from starlette.applications import Starlette
from starlette.routing import Route

from palate.web.entrance import application, page, write
from palate.web.rendering import render
from palate.web.watch import api
from palate.web.watch.desk import WatchDesk, WatchVisit
from palate.web.watch.payload import Look, SamplesOf, Stop


def watch_app(desk: WatchDesk) -> Starlette:
    """The application; put `palate.web.gate.Gate` before it."""
    routes = [
        Route("/", page(_page, admin=True)),
        Route("/api/look", write(api.look, Look, admin=True), methods=["POST"]),
        Route("/api/samples", write(api.samples, SamplesOf, admin=True), methods=["POST"]),
        Route("/api/stop", write(api.stop, Stop, admin=True), methods=["POST"]),
    ]
    return application(desk, routes)


def _page(visit: WatchVisit) -> str:
    return render("watch", visit)
