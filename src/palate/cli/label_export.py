"""`palate label-export`: from votes to pairs for training."""

from typing import Annotated

import typer

from palate.cli.output import check_output, say, unreplaced, write_rows
from palate.collection.export import Rule, Weights
from palate.collection.store import open_store
from palate.data.writers import kind_of, writing

HELP = """Write the pairs that a rule decides from votes, ready for `palate dpo`.

majority: more than half of a pair's votes are for one response; unanimous: all are; adjudicated:
somebody decided the pair. A ruling stands above votes under every rule, and nothing is ever decided
by lot: what a rule leaves open is left out and counted. Works while people vote."""


def label_export(
    votes: Annotated[
        str, typer.Argument(metavar="VOTES", help="database that `palate label` writes")
    ],
    output: Annotated[
        str | None, typer.Option(help="file; its end says what it holds, as for palate convert")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the file")] = False,
    rule: Annotated[Rule, typer.Option(help="what decides a pair")] = "majority",
    weights: Annotated[
        Weights, typer.Option(help="a pair's weight: share of its votes for the chosen one, or 1")
    ] = "agreement",
    min_votes: Annotated[
        int | None,
        typer.Option(help="votes that a pair needs; by default all that were wanted", min=1),
    ] = None,
) -> None:
    check_output(output)
    if output is not None:
        kind_of(output)
        unreplaced(output, overwrite=overwrite)
    with open_store(votes, read_only=True) as store:
        export = store.export(rule=rule, weights=weights, min_votes=min_votes)
    if output is None:
        write_rows(export.rows, None)
    else:
        with writing(output) as write:
            for row in export.rows:
                write(row)
    left_out = ", ".join(f"{reason} {count}" for reason, count in export.left_out.items())
    say(f"{len(export.rows)} pairs by {rule}; left out: {left_out or 'none'}")
