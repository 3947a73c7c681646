"""`palate label`: people compare two responses in their browsers."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from palate.cli.output import print_json, say

HELP = """Compare two responses in a browser: one command, no account, no network.

Votes go into one file beside DATA. Everybody whom you name gets a link of their own; sides are
shuffled, nothing says where a response came from. Ctrl-C ends; the same command goes on."""


def label(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="pairs, or prompts with two or more responses")
    ],
    votes: Annotated[
        str | None, typer.Option(help="file of the votes, by default DATA with .votes.sqlite")
    ] = None,
    annotator: Annotated[
        list[str] | None, typer.Option(help="somebody else who votes; once for each")
    ] = None,
    admin: Annotated[
        str | None, typer.Option(help="your name in the votes, by default your login name")
    ] = None,
    guidelines: Annotated[
        str | None, typer.Option(help="Markdown file that tells voters how to vote")
    ] = None,
    votes_per_item: Annotated[
        int | None, typer.Option(help="people who are to vote on each pair [default: 1]")
    ] = None,
    strategy: Annotated[
        Literal["random", "coverage", "disagreement", "uncertainty"] | None,
        typer.Option(help="which pair comes next [default: random]"),
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one")] = 8321,
    share_as: Annotated[
        str, typer.Option(help="how other machines call the page, as https://NAME; with --host")
    ] = "",
    browser: Annotated[bool, typer.Option(help="open the page on this machine")] = True,
    skip_bad: Annotated[bool, typer.Option(help="leave rows out that cannot be used")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print links as one JSON object")] = False,
) -> None:
    from palate.web import start
    from palate.web.address import Address
    from palate.web.guidelines import read_guidelines

    given = {"votes_per_item": votes_per_item, "strategy": strategy}
    start.label(
        start.read_pairs(data, skip_bad=skip_bad),
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
