"""`palate demo`: both roads on the embedded world, compared."""

from pathlib import Path
from typing import Annotated

import typer

from palate.cli.folder import not_resumable, nothing_half_compared
from palate.cli.output import only_json, print_json

HELP = """Train by DPO and by RLHF from one SFT model and one set of pairs, and compare them.

It runs offline on the embedded world, whose gold reward is known. Writes results.json and
report.html."""


def demo(
    output_dir: Annotated[str, typer.Option(help="folder of runs and report")] = "palate-demo",
    seed: Annotated[int, typer.Option(help="of everything", min=0)] = 0,
    seeds: Annotated[int, typer.Option(help="runs of each arm, SEED and on", min=1)] = 1,
    fast: Annotated[bool, typer.Option("--fast", help="smaller: for a look")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print results.json's object")] = False,
) -> None:
    folder = Path(output_dir)
    with only_json(as_json), nothing_half_compared(folder, overwrite=overwrite):
        from palate.experiments.demo import run_demo

        with not_resumable("the demo ran"):
            results = run_demo(
                output_dir=output_dir, seed=seed, seeds=seeds, fast=fast, overwrite=overwrite
            )
    if as_json:
        print_json(results)
        return
    from rich.console import Console

    from palate.experiments.table import print_comparison

    print_comparison(results, console=Console())
    print(f"report: {folder / 'report.html'}")
