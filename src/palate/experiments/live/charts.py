"""Which curves stand together, in which order, and what each chart is called.

Chosen and rejected are apart from their margin, since a margin that grows while both fall is
another story than one that grows because the chosen rise. A chart is shown where a run has one of
its metrics; what is in no chart gets one of its own after them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from palate.training.journal import METRICS

HELD_OUT = "eval_"


@dataclass(frozen=True)
class Chart:
    """A title, and the metrics that are drawn in it (with those of evaluations beside them)."""

    title: str
    metrics: tuple[str, ...]


CHARTS = (
    Chart("Reward margin", ("rewards/margins",)),
    Chart("Rewards of chosen and rejected", ("rewards/chosen", "rewards/rejected")),
    Chart("Log-probabilities of chosen and rejected", ("logps/chosen", "logps/rejected")),
    Chart("Pairs told apart", ("rewards/accuracies", "accuracy")),
    Chart("Proxy reward", ("objective/scores", "objective/rlhf_reward")),
    Chart("Gold reward", ("objective/gold",)),
    Chart("KL to the reference", ("objective/kl", "objective/kl_k3")),
    Chart("Loss", ("loss",)),
    Chart("Negative log-likelihood", ("mean_token_nll",)),
    Chart("Length of responses", ("length",)),
    Chart("Responses that end by themselves", ("eos_rate",)),
    Chart("Entropy", ("objective/entropy",)),
    Chart("Spread of rewards", ("reward_std", "frac_reward_zero_std")),
    Chart("Policy and value losses", ("loss/policy_avg", "loss/value_avg", "loss/kl_avg")),
    Chart("Ratio of new to old policy", ("val/ratio",)),
    Chart("Clipped", ("policy/clipfrac_avg", "val/clipfrac_avg", "clip_ratio/region_mean")),
    Chart("Change of the policy in an update", ("policy/approxkl_avg",)),
    Chart("Weight of the KL penalty", ("objective/kl_coef", "objective/kl_budget_used")),
    Chart("Best of n", ("best_of_n/scores",)),
    Chart("KL of best of n", ("best_of_n/kl", "best_of_n/kl_bound")),
    Chart("Ended responses of a rollout", ("val/num_eos_tokens",)),
    Chart("Gradient norm", ("grad_norm",)),
    Chart("Learning rate", ("learning_rate",)),
)

# Lines that say how far a run is, which the page says in words.
UNDRAWN = frozenset({"epoch", "num_tokens", "round", "objective/scores_se", "objective/gold_se"})


def charts_of(names: Iterable[str]) -> list[dict[str, object]]:
    """The charts for some metrics, as JSON: title, unit, what each line means."""
    there = {name.removeprefix(HELD_OUT) for name in names} - UNDRAWN
    named = {metric for chart in CHARTS for metric in chart.metrics}
    rest = tuple(Chart(name, (name,)) for name in sorted(there - named))
    shown = [chart for chart in (*CHARTS, *rest) if there.intersection(chart.metrics)]
    return [_as_json(chart, there) for chart in shown]


def _as_json(chart: Chart, there: set[str]) -> dict[str, object]:
    metrics = [name for name in chart.metrics if name in there]
    known = [METRICS[name] for name in metrics if name in METRICS]
    return {
        "title": chart.title,
        "metrics": metrics,
        "units": list(dict.fromkeys(one.unit for one in known)),
        "meanings": [METRICS[name].definition if name in METRICS else "" for name in metrics],
    }
