"""`palate compare`: trained models from one start, against each other."""

from pathlib import Path
from typing import Annotated

import typer

from palate.cli.compare_show import show_comparison
from palate.cli.folder import nothing_half_compared
from palate.cli.inputs import existing_model, named_model
from palate.cli.output import only_json
from palate.cli.rows import Columns, Form, layout

HELP = """Compare trained models on one set of prompts: rewards, KL from the start, win rates.

An --arm that is repeated with the same NAME is one arm with several training seeds; from three on
the verdict speaks of the roads. A folder that Palate trained knows its road; of any other say
dpo:NAME=FOLDER or rlhf:NAME=FOLDER. Without --prompts the arms answer held-out prompts of the
embedded world and its gold reward judges. Writes results.json and report.html."""


def compare(
    arm: Annotated[list[str], typer.Option(help="[ROAD:]NAME=FOLDER of a trained model; repeat")],
    base: Annotated[str, typer.Option(help="the model that all arms started from (SFT)")],
    prompts: Annotated[str | None, typer.Option(help="file of prompts or pairs")] = None,
    format: Form = None,
    columns: Columns = None,
    reward: Annotated[str | None, typer.Option(help="reward model folder (proxy reward)")] = None,
    output_dir: Annotated[str, typer.Option(help="folder of the results")] = "palate-comparison",
    num_samples: Annotated[int, typer.Option(help="responses a prompt and arm", min=1)] = 2,
    max_new_tokens: Annotated[int, typer.Option(help="tokens of a response", min=1)] = 64,
    temperature: Annotated[float, typer.Option(help="of sampling", min=0.0)] = 1.0,
    num_prompts: Annotated[int, typer.Option(help="of the embedded world", min=4)] = 200,
    seed: Annotated[int, typer.Option(help="of sampling", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print results.json's object")] = False,
) -> None:
    entries = [named_model(given, flag="--arm") for given in arm]
    proxy = existing_model(reward, flag="--reward") if reward else None
    start = existing_model(base, flag="--base")
    folder, how = Path(output_dir), layout(format, columns)
    with only_json(as_json), nothing_half_compared(folder, overwrite=overwrite):
        from palate.data.sources import read_prompts
        from palate.experiments.compare import run_compare
        from palate.experiments.embedded import gold_function
        from palate.experiments.world import world_prompts

        if prompts is None:
            asked = world_prompts(num_prompts, seed=seed, split="heldout")
        else:
            asked = read_prompts(prompts, layout=how).records
        results = run_compare(
            entries=entries, base=start, prompts=asked, reward=proxy,
            gold=gold_function if prompts is None else None, output_dir=folder,
            num_samples=num_samples, max_new_tokens=max_new_tokens, temperature=temperature,
            seed=seed, overwrite=overwrite,
        )  # fmt: skip
    show_comparison(results, folder, as_json=as_json)
