"""`palate export`: a run's model for other tools."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from palate.cli.inputs import model_folder
from palate.cli.output import only_json, print_json

HELP = """Export a run's model for stock transformers, peft and servers, with a model card.

merged: adapters merged into the base, a folder of its own. adapter: as PEFT loads it on the base.
reward: a reward model as AutoModelForSequenceClassification. A new process without Palate scores
a few rows of the run again; where its numbers are not Palate's, nothing is kept (exit code 4)."""


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="output folder of a finished run")],
    output_dir: Annotated[str, typer.Option(help="folder to make; must not exist")],
    what: Annotated[
        Literal["merged", "adapter", "reward"] | None,
        typer.Option(help="what to write; by default merged, of a reward model reward"),
    ] = None,
    base: Annotated[str | None, typer.Option(help="base of the adapter, where it moved")] = None,
    data: Annotated[
        str | None, typer.Option(help="rows to score again, where the run's own are gone")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    with only_json(as_json):
        from palate.experiments.export import export_run
        from palate.experiments.trained_run import open_run

        found = export_run(
            open_run(Path(run)), Path(output_dir), what=what, data=data,
            base=str(model_folder(base)) if base else None,
        )  # fmt: skip
    if as_json:
        print_json(found.to_json())
        return
    unit = "in reward" if found.what == "reward" else "nats a token"
    print(f"{found.what}: {found.output_dir}")
    print(
        f"  {found.num_responses} responses scored again by stock libraries in a new process: "
        f"differences up to {found.largest_difference:.1e} {unit}"
    )
    if found.reward_shift:
        print(f"  the logit is the reward plus {found.reward_shift:.6g} (see its README.md)")
    print("serve it (not run here):")
    for line in found.serve:
        print(f"  {line}")
