"""`palate diagnose`: what is wrong with runs, by name."""

from pathlib import Path
from typing import Annotated

import typer

from palate.cli.output import print_json

HELP = """Say by name what is wrong with runs: finished, running or dead, of every training stage.

Each finding with its level (note, warning, sick), the figures that it was seen in, and what to do;
docs/findings.md explains all of them, docs/diagnose.md how well they are recognized. Reads the
files of the run folders alone. Exit code 4 where a run has a finding of the level warning or sick,
else 0."""


def diagnose(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="run folders")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    from palate.experiments.diagnose import DIAGNOSED, diagnose_run, in_words
    from palate.experiments.table import plain

    found = [diagnose_run(Path(run)) for run in runs]
    if as_json:
        print_json({"runs": [run.to_json() for run in found]})
    else:
        for run in found:
            for line in in_words(run):
                print(plain(line))
    if any(run.alarming for run in found):
        raise typer.Exit(DIAGNOSED)
