"""`palate score`: rewards of pairs, by a reward model or implied by a policy."""

from typing import Annotated, Literal

import typer

from palate.cli.output import check_output, only_json, print_json, write_rows
from palate.cli.rows import Columns, Form, layout
from palate.cli.scored import describe, scorer_of
from palate.data.sources import read_preferences
from palate.errors import UsageError

HELP = """Score pairs: rewards of both responses, and how often the chosen one is higher.

A reward model gives its rewards as PPO sees them; any other model the rewards that it implies,
beta·log(policy / reference), in nats. An ensemble gives the mean of its heads and, as uncertainty,
their standard deviation. Beta and reference are taken from the run folder around the
model where there is one."""


def score(
    model: Annotated[str, typer.Option(help="reward model, policy, adapter or run folder")],
    data: Annotated[str, typer.Option(help="pairs to score")],
    format: Form = None,
    columns: Columns = None,
    beta: Annotated[float | None, typer.Option(help="of the policy's training")] = None,
    reference: Annotated[str | None, typer.Option(help="what the policy started from")] = None,
    max_length: Annotated[int, typer.Option(help="tokens of prompt + response", min=2)] = 1024,
    overlong: Annotated[
        Literal["refuse", "drop"], typer.Option(help="longer rows: refuse or drop")
    ] = "refuse",
    output: Annotated[str | None, typer.Option(help="file for a row a pair")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON")] = False,
) -> None:
    if beta is not None and not 0 < beta < float("inf"):
        raise UsageError(f"--beta {beta}: it must be a number above 0")
    check_output(output)
    pairs = read_preferences(data, layout=layout(format, columns)).records
    with only_json(True):
        from palate.experiments.pair_scores import score_pairs

        scorer = scorer_of(model, beta=beta, reference=reference)
        found = score_pairs(scorer, pairs, max_length=max_length, overlong=overlong)
    if output is not None:
        write_rows(found.rows(), output)
    summary = found.summary()
    print_json(summary) if as_json else describe(summary)
