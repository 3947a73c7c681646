"""`palate watch`: runs as they go on, on a page of this machine."""

from pathlib import Path
from typing import Annotated

import typer

from palate.cli.output import print_json, say

HELP = """Watch runs on a local page: curves, samples, time left, and a button that saves and stops.

Reads run folders only, so it works while a run goes on, after it, and when its trainer is dead.
Name run folders, or a folder of them; runs that begin in it are shown too. Ctrl-C ends."""


def watch(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="run folders, or their parent")
    ],
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one")] = 8322,
    share_as: Annotated[str, typer.Option(help="how others call --host, as https://NAME")] = "",
    browser: Annotated[bool, typer.Option(help="open the page on this machine")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the link as a JSON object")
    ] = False,
) -> None:
    from palate.web.address import Address
    from palate.web.watch import start

    start.watch(
        [Path(run) for run in runs],
        address=Address(host, port, share_as),
        open_browser=browser,
        on_open=lambda page: print_json(page.to_json()) if as_json else say(page.describe()),
    )
