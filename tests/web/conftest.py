"""A labelling page on a real port, programs that ask it, and one headless Chromium."""

import http.client
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.collection.pairs import some_items
from tests.web.served import Served

from palate.collection import Annotator, CollectionSettings, Item, Store, open_store
from palate.web.address import Address
from palate.web.app import label_app
from palate.web.desk import Desk
from palate.web.gate import Gate
from palate.web.server import listen
from palate.web.start import open_desk

PATIENCE_MS = 5_000


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Client:
    """A program with a cookie, as a browser would have it, and the token of its pages."""

    port: int
    cookie: str = ""
    token: str = ""

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie, **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def post(self, path: str, content: object, **headers: str) -> Answer:
        """A write as the page makes it."""
        sent = {"Content-Type": "application/json", "X-Palate-Token": self.token, **headers}
        return self.ask("POST", path, body=json.dumps(content).encode(), headers=sent)


@dataclass(kw_only=True)
class Site(Served):
    """A page that is being served.

    Attributes:
        store: its votes.
        desk: its people and links.
        path: the database.
    """

    store: Store
    desk: Desk
    path: Path

    def annotator(self, name: str = "ann", *, is_admin: bool = False) -> Annotator:
        """Somebody who may vote."""
        known = [one for one in self.store.annotators() if one.name == name]
        return (
            known[0]
            if known
            else self.store.add_annotator(name, role="admin" if is_admin else "annotate")[0]
        )

    def client(self, name: str = "ann", *, is_admin: bool = False) -> Client:
        """A program signed in by a link."""
        client = Client(self.port)
        link = urlsplit(self.desk.link(self.annotator(name, is_admin=is_admin)))
        answer = client.ask("GET", f"{link.path}?{link.query}")
        assert answer.status == 303
        client.cookie = answer.headers["set-cookie"].partition(";")[0]
        page = client.ask("GET", "/").body.decode()
        client.token = page.partition('name="palate-token" content="')[2].partition('"')[0]
        return client


MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Serve pairs; settings by name, no tests of annotators unless asked for."""
    with ExitStack() as stack:

        def make(items: list[Item] | int = 6, *, guidelines: str = "", **settings: Any) -> Site:
            plain = {"repeat_share": 0.0, "gold_share": 0.0, "salt": "test", **settings}
            path = tmp_path / "pairs.votes.sqlite"
            store = stack.enter_context(open_store(path, settings=CollectionSettings(**plain)))
            store.add_items(some_items(items) if isinstance(items, int) else items)
            if guidelines:
                store.set_guidelines(guidelines)
            listener = listen("127.0.0.1", 0)
            port = listener.getsockname()[1]
            desk, origins = open_desk(store, votes=path, address=Address(), port=port)
            site = Site(
                store=store, desk=desk, path=path, port=port,
                app=Gate(label_app(desk), origins=origins),
            )  # fmt: skip
            site.start(listener)
            stack.callback(site.stop)
            return site

        yield make


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One headless Chromium for all tests; they fail where there is none."""
    program = os.environ.get("PALATE_CHROMIUM") or shutil.which("chromium")
    assert program, "Chromium is missing: apt-get install chromium, or set PALATE_CHROMIUM"
    # Chromium's own sandbox does not start for root, as whom containers run.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@dataclass
class Window:
    """A browser window, and everything that must not happen in it.

    Attributes:
        page: the page.
        dialogs: kinds of dialogs that came up, `alert` and the like.
        outbound: addresses asked for that are not the page's own.
        complaints: errors on the console, breaches of the content security policy among them.
    """

    page: Page
    dialogs: list[str] = field(default_factory=list)
    outbound: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def press(self, key: str) -> None:
        """Press a key once the page takes votes again."""
        self.page.wait_for_timeout(170)
        self.page.keyboard.press(key)

    def saved(self, text: str) -> None:
        """Wait until the page says that a decision is saved."""
        self.page.wait_for_function(
            "text => document.getElementById('last').textContent === text"
            " && document.getElementById('last-state').textContent.includes('saved')",
            arg=text,
        )

    @property
    def prompt(self) -> str:
        """The prompt in view."""
        return self.page.inner_text("#prompt")


def new_window(chromium: Browser, address: str, **how: Any) -> tuple[Window, BrowserContext]:
    """An empty window of a browser of its own, which notes what must not happen on a site."""
    context = chromium.new_context(**how)
    context.set_default_timeout(PATIENCE_MS)
    # The first quality page loads scipy.
    context.set_default_navigation_timeout(6 * PATIENCE_MS)
    shown = Window(context.new_page())
    page = shown.page

    def note_and_go_on(dialog: Any) -> None:
        shown.dialogs.append(dialog.type)
        dialog.accept()

    page.on("dialog", note_and_go_on)
    page.on("console", lambda m: shown.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:,"))
            else shown.outbound.append(request.url)
        ),
    )
    return shown, context


OpenWindow = Callable[..., Window]


@pytest.fixture
def window(chromium: Browser) -> Iterator[OpenWindow]:
    """Open a site in a browser of its own, signed in by a link."""
    contexts: list[BrowserContext] = []

    def open_site(
        site: Site, name: str = "ann", *, is_admin: bool = False, path: str = "/", **how: Any
    ) -> Window:
        shown, context = new_window(chromium, site.address, **how)
        contexts.append(context)
        page = shown.page
        page.goto(site.desk.link(site.annotator(name, is_admin=is_admin)))
        if path != "/":
            page.goto(f"{site.address}{path}")
        else:
            page.wait_for_selector("#question:not([hidden]), #finished:not([hidden])")
        return shown

    yield open_site
    for context in contexts:
        context.close()
