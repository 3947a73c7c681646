"""From run folders to a page that shows them: what `palate watch` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from palate.experiments.live.board import Board
from palate.web.address import Address
from palate.web.gate import Gate
from palate.web.server import listen, open_browser_at, serve
from palate.web.watch.app import watch_app
from palate.web.watch.desk import WatchDesk, only_owner


@dataclass(frozen=True)
class Watching:
    """A page that is about to be served: its link, which opens once, and how many runs."""

    link: str
    num_runs: int

    def to_json(self) -> dict[str, Any]:
        """What a program needs to go on."""
        return {"link": self.link, "num_runs": self.num_runs}

    def describe(self) -> str:
        """What a person needs to go on."""
        runs = {0: "no run yet; it is shown when it begins", 1: "1 run"}
        count = runs.get(self.num_runs, f"{self.num_runs} runs")
        return f"{count}\nThe page, the link opens once: {self.link}\nCtrl-C ends."


def watch(
    paths: Sequence[Path],
    *,
    address: Address,
    open_browser: bool = True,
    on_open: Callable[[Watching], None] = lambda watching: None,
) -> None:
    """Show runs until Ctrl-C; their folders are only read, but for a request to stop.

    Args:
        paths: run folders, or folders of them.
        address: where to serve.
        open_browser: open the page on this machine.
        on_open: is told the link before the first request is answered.

    Raises:
        UsageError: a path is no folder, or the address cannot be served.
    """
    board = Board(paths)
    with listen(address.host, address.port) as listener:
        port = listener.getsockname()[1]
        origins = address.origins(port)
        desk = WatchDesk(board, only_owner(port), origins[0])
        link = desk.link()
        on_open(Watching(link, board.num_runs))
        # Long logs are read while the browser starts.
        Thread(target=board.look, daemon=True).start()
        if open_browser:
            open_browser_at(link)
        serve(Gate(watch_app(desk), origins=origins), listener)
