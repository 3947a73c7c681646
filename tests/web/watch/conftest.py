"""A watching page on a real port, run folders to watch, and a browser that looks at them."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser
from tests.web.conftest import Client, Window, new_window
from tests.web.served import Served

from palate.experiments.live.board import Board
from palate.web.address import Address
from palate.web.gate import Gate
from palate.web.server import listen
from palate.web.watch.app import watch_app
from palate.web.watch.desk import WatchDesk, only_owner


@dataclass
class RunOnDisk:
    """A run folder that is written by hand, as a trainer would."""

    path: Path
    stage: str = "dpo"

    def log(self, *rows: dict[str, Any]) -> None:
        """Append rows."""
        self.write("".join(json.dumps(row) + "\n" for row in rows))

    def write(self, text: str) -> None:
        """Append to the log, whole lines or not."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(text)

    def beat(self, step: int, num_steps: int, state: str = "training") -> None:
        """Say how far it is."""
        content = {"stage": self.stage, "step": step, "num_steps": num_steps, "first_step": 0,
                   "seconds": 2.0 * step, "state": state}  # fmt: skip
        (self.path / "progress.json").write_text(json.dumps(content), encoding="utf-8")

    def sample(self, step: int, prompt: str, policy: str, reference: str) -> None:
        """Append a sample."""
        row = {"step": step, "prompt": prompt, "policy": policy, "reference": reference}
        with (self.path / "samples.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


@dataclass(kw_only=True)
class Watched(Served):
    """A page that is being served.

    Attributes:
        root: the folder that it watches.
        desk: its runs and links.
    """

    root: Path
    desk: WatchDesk

    def run(self, name: str, stage: str = "dpo") -> RunOnDisk:
        """A new run folder."""
        path = self.root / name
        path.mkdir(parents=True)
        return RunOnDisk(path, stage)

    def client(self) -> Client:
        """A program signed in by a link."""
        client = Client(self.port)
        link = urlsplit(self.desk.link())
        answer = client.ask("GET", f"{link.path}?{link.query}")
        assert answer.status == 303
        client.cookie = answer.headers["set-cookie"].partition(";")[0]
        page = client.ask("GET", "/").body.decode()
        client.token = page.partition('name="palate-token" content="')[2].partition('"')[0]
        return client


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A page over an empty folder."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    desk = WatchDesk(Board([tmp_path]), only_owner(port), f"http://127.0.0.1:{port}")
    page = Watched(
        root=tmp_path, desk=desk, port=port,
        app=Gate(watch_app(desk), origins=Address().origins(port)),
    )  # fmt: skip
    page.start(listener)
    yield page
    page.stop()


OpenWatch = Callable[..., Window]


@pytest.fixture
def watch_window(chromium: Browser) -> Iterator[OpenWatch]:
    """Open a watching page in a browser of its own, signed in by a link."""
    with ExitStack() as stack:

        def open_page(watched: Watched, **how: Any) -> Window:
            shown, context = new_window(chromium, watched.address, **how)
            stack.callback(context.close)
            shown.page.goto(watched.desk.link())
            shown.page.wait_for_selector("#runs li, #none:not([hidden])")
            return shown

        yield open_page
