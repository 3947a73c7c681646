"""`palate judge`: samples → pairs, by a judge."""

from functools import cache as once
from typing import Annotated, Literal

import typer

from palate.cli.output import only_json, print_json
from palate.cli.rows import Columns, Form, layout

HELP = """Make preference pairs of samples: {"prompt", "responses"} rows → prompt, chosen, rejected.

--by is a reward model's folder, a DPO policy's (its implicit reward), MODULE:FUNCTION or
FILE.py:FUNCTION (prompts, responses → numbers), scores (those in the rows), judge:FILE.yaml or
judge:MODEL@URL (a language model behind an OpenAI-compatible server). A language model is asked in
both orders; where they disagree the pair is a tie. Ties and what could not be judged stand in files
beside the output, with the judge's audit. What a server said is kept in a cache before it is used:
the same command again goes on where it stopped. Pairs as input measure agreement with people;
--format and --columns are of --samples."""


def judge(
    samples: Annotated[str, typer.Option(help="rows of palate sample, or pairs")],
    by: Annotated[str, typer.Option(help="who judges")],
    output: Annotated[str, typer.Option(help="file of pairs to make")],
    mode: Annotated[
        Literal["compare", "score"] | None, typer.Option(help="of a language model [compare]")
    ] = None,
    rule: Annotated[
        Literal["best-worst", "random", "all"] | None,
        typer.Option(help="pairs of a prompt's responses [scores: best-worst; else random]"),
    ] = None,
    pairs_per_prompt: Annotated[int, typer.Option(help="of --rule random", min=1)] = 1,
    rubric: Annotated[str | None, typer.Option(help="file: what makes a reply better")] = None,
    labels: Annotated[str | None, typer.Option(help="people's pairs, to compare with")] = None,
    num_probes: Annotated[int, typer.Option(help="pairs tried with injections", min=0)] = 20,
    beta: Annotated[float | None, typer.Option(help="of a policy's training")] = None,
    reference: Annotated[str | None, typer.Option(help="what a policy started from")] = None,
    format: Form = None,
    columns: Columns = None,
    cache: Annotated[str | None, typer.Option(help="of replies [OUTPUT.cache.jsonl]")] = None,
    seed: Annotated[int, typer.Option(help="of draws", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the output")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    from palate.cli.judged import JudgedFiles, describe, refuse_nothing

    files, how = JudgedFiles(output, cache), layout(format, columns)
    files.check(overwrite=overwrite)
    with only_json(True):
        from palate.cli.judges import By
        from palate.experiments.judging.run import Judging
        from palate.experiments.judging.samples import read_samples

        named = By(by, mode, rubric, beta, reference)
        settings = Judging(rule, pairs_per_prompt, num_probes, seed)
        summary = files.fill(named, once(lambda: read_samples(samples, how)), settings, labels)
    print_json(summary) if as_json else describe(summary)
    refuse_nothing(summary)
