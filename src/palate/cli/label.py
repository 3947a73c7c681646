"""`palate label`: people compare two responses in their browsers."""

from pathlib import Path
from typing import Annotated

import typer

from palate.cli.output import print_json, say
from palate.cli.rows import Columns, Form, layout
from palate.collection.settings import Strategy

HELP = """Compare two responses in a browser: one command, no account, no network.

Votes go into one file beside DATA. Everybody whom you name gets a link of their own; sides are
shuffled, nothing says where a response came from. Ctrl-C ends; the same command goes on."""


def label(
    data: Annotated[str, typer.Argument(metavar="DATA", help="pairs, or prompts with responses")],
    format: Form = None,
    columns: Columns = None,
    votes: Annotated[str | None, typer.Option(help="database; else DATA.votes.sqlite")] = None,
    annotator: Annotated[list[str] | None, typer.Option(help="somebody else who votes")] = None,
    admin: Annotated[str | None, typer.Option(help="your name; else your login name")] = None,
    guidelines: Annotated[str | None, typer.Option(help="how to vote, a Markdown file")] = None,
    votes_per_item: Annotated[
        int | None, typer.Option(help="people who vote on each pair; 1 unless it was set before")
    ] = None,
    strategy: Annotated[
        Strategy | None, typer.Option(help="which pair is next; random unless it was set before")
    ] = None,
    scores: Annotated[
        str | None, typer.Option(help="of `palate score --output`, for --strategy uncertainty")
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one")] = 8321,
    share_as: Annotated[str, typer.Option(help="how others call --host, as https://NAME")] = "",
    browser: Annotated[bool, typer.Option(help="open the page on this machine")] = True,
    skip_bad: Annotated[bool, typer.Option(help="leave rows out that cannot be used")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print links as one JSON object")] = False,
) -> None:
    from palate.collection.reading import read_items
    from palate.web import start
    from palate.web.address import Address
    from palate.web.guidelines import read_guidelines

    given = {"votes_per_item": votes_per_item, "strategy": strategy}
    start.label(
        read_items(data, layout=layout(format, columns), scores=scores, skip_bad=skip_bad),
        votes=Path(votes) if votes else start.votes_beside(data),
        address=Address(host, port, share_as),
        admin=admin,
        annotators=annotator or (),
        guidelines=read_guidelines(guidelines) if guidelines else None,
        settings={name: value for name, value in given.items() if value is not None},
        open_browser=browser,
        on_open=lambda opened: print_json(opened.to_json()) if as_json else say(opened.describe()),
    )
    say("ended; every vote that was cast is saved")
