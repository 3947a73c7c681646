"""`palate label-exclude`: an annotator's votes no longer count, until they do again."""

from typing import Annotated

import typer

from palate.cli.output import say
from palate.collection.store import open_store
from palate.errors import UsageError

HELP = """Let an annotator's votes no longer count, or count again with --undo.

Nothing is deleted. While the page runs, its quality page does the same."""


def label_exclude(
    votes: Annotated[
        str, typer.Argument(metavar="VOTES", help="database that `palate label` writes")
    ],
    annotator: Annotated[str, typer.Argument(metavar="NAME", help="whose votes")],
    reason: Annotated[str, typer.Option(help="why, for the log")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="count them again")] = False,
) -> None:
    open_store(votes, read_only=True).close()  # a name that is no database must not become one
    with open_store(votes) as store:
        people = store.annotators()
        found = next((one for one in people if one.name == annotator), None)
        if found is None:
            known = ", ".join(one.name for one in people) or "nobody"
            raise UsageError(f"{votes}: there is no annotator {annotator!r}; there is {known}")
        if undo:
            store.include(0, found.id)
        else:
            store.exclude(0, found.id, reason)
    say(f"the votes of {annotator} {'count again' if undo else 'do not count'}")
