"""`palate env`: what a bug report needs."""

from typing import Annotated

import typer

from palate.cli.output import print_json

HELP = """Show versions, machine, threads and device, for a bug report."""


def env(
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    from palate.training.folder import environment

    found = environment()
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        for key, part in value.items() if isinstance(value, dict) else ((name, value),):
            print(f"{key:<14} {part}")
