"""`palate score`: rewards of pairs, by a reward model or implied by a policy."""

from typing import Annotated, Literal

import typer

from palate.cli.inputs import is_reward, load_model, model_folder
from palate.cli.output import check_output, only_json, print_json, write_rows
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
    pairs = read_preferences(data).records
    with only_json(True):
        from palate.cli.trained import training_of
        from palate.experiments import pair_scores as scoring

        folder = model_folder(model)
        if is_reward(folder):
            scorer = scoring.reward_scorer(folder)
        else:
            policy = load_model(model)
            trained = training_of(folder, beta=beta, reference=reference)
            start = load_model(trained.reference, flag="--reference") if trained.reference else None
            scorer = scoring.implicit_scorer(policy, reference=start, beta=trained.beta)
        found = scoring.score_pairs(scorer, pairs, max_length=max_length, overlong=overlong)
    if output is not None:
        write_rows(found.rows(), output)
    summary = found.summary()
    if as_json:
        print_json(summary)
        return
    from palate.experiments.table import measured

    print(f"{summary['pairs']} pairs scored, {summary['dropped_overlong']} too long")
    for name in ("rewards/chosen", "rewards/rejected", "rewards/margins"):
        print(f"  {name:<20} {summary[name]:.4g}")
    if summary["rewards/uncertainty"] is not None:
        print(f"  {'rewards/uncertainty':<20} {summary['rewards/uncertainty']:.4g}")
    for name in ("accuracy", "longest_wins"):
        print(f"  {name:<20} {measured(summary[name], percent=True)}")
