"""`palate check-reward`: is a reward model fit to be optimized against?"""

from typing import Annotated, Literal

import typer

from palate.cli.held_out import pairs_to_check
from palate.cli.inputs import existing_model, load_model
from palate.cli.output import only_json, print_json, say, show_gate

HELP = """Check a reward model on held-out pairs before a policy is trained against it.

Accuracy beside trivial baselines, calibration, length, what probes do to the reward (append
"Thanks!" or flattery, repeat, cut, drop the end, put the response under a wrong prompt), samples of
the start model. Exit code 4 where a check fails. The report is stored beside the reward model,
where palate ppo reads it. Without --data: the pairs that its run held out, else pairs of the
embedded world. How to read it: docs/reward-model.md."""


def check_reward(
    reward: Annotated[str, typer.Option(help="reward model or run folder")],
    data: Annotated[str | None, typer.Option(help="pairs that it was not trained on")] = None,
    model: Annotated[
        str | None, typer.Option(help="model that PPO will start from, if not the reward's start")
    ] = None,
    max_length: Annotated[int, typer.Option(help="tokens of prompt + response", min=2)] = 1024,
    overlong: Annotated[
        Literal["refuse", "drop"], typer.Option(help="longer rows: refuse or drop")
    ] = "refuse",
    max_new_tokens: Annotated[int, typer.Option(help="tokens of a sample", min=1)] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    folder = existing_model(reward, flag="--reward")
    with only_json(True):
        from palate.experiments import reward_gate as gate
        from palate.experiments.answers import as_policy
        from palate.experiments.pair_scores import reward_scorer
        from palate.models.load import load

        scorer = reward_scorer(folder)
        start = model or gate.start_of_reward(folder)
        pairs, answer = pairs_to_check(folder, data, start=start, renderer=scorer.renderer)(), None
        if start is None:
            say("check-reward: no samples are scored, the start is not known (name it: --model)")
        else:
            policy = as_policy(load_model(start) if model else load(start))
            answer = gate.answers_of(
                policy, "policy", end_tokens=scorer.renderer.end_token_ids,
                max_new_tokens=max_new_tokens,
            )  # fmt: skip
        report = gate.check_reward(
            scorer, pairs, answer=answer, max_length=max_length, overlong=overlong
        )
        gate.store_gate(report, folder, pairs)
    if as_json:
        print_json(report.to_json())
    else:
        show_gate(report)
    if report.failed:
        raise typer.Exit(4)
