"""Metrics: what each is, and the log that they go to.

`METRICS` is the one table of names; docs are generated from it and a name that is not in it
cannot be logged.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from palate.errors import NumericalError
from palate.training.log_rows import keep_rows
from palate.training.log_rows import read_metrics as read_metrics

Direction = Literal["up", "down", "watch"]


@dataclass(frozen=True)
class Metric:
    """Unit, direction (up: higher is better, watch: neither) and definition of a metric."""

    unit: str
    direction: Direction
    definition: str


METRICS: dict[str, Metric] = {
    "loss": Metric("nats", "down", "mean of what is minimized, over the rows of the window"),
    "learning_rate": Metric("1", "watch", "step size at the window's last step"),
    "grad_norm": Metric("1", "watch", "norm of the gradient before clipping, mean of the window"),
    "num_tokens": Metric("tokens", "watch", "rows of forests trained on since the start"),
    "epoch": Metric("epochs", "watch", "passes over the data since the start"),
    "accuracy": Metric("share", "up", "pairs whose chosen response has the higher reward"),
    "mean_token_nll": Metric("nats/token", "down", "negative log-likelihood of response tokens"),
    "rewards/chosen": Metric("nats", "watch", "β·log-ratio (DPO) or reward of chosen responses"),
    "rewards/rejected": Metric("nats", "watch", "the same of rejected responses"),
    "rewards/margins": Metric("nats", "up", "rewards/chosen − rewards/rejected"),
    "rewards/accuracies": Metric("share", "up", "pairs with a margin above 0 (a tie counts ½)"),
    "logps/chosen": Metric("nats", "watch", "log-probability of chosen responses (sum of tokens)"),
    "logps/rejected": Metric("nats", "watch", "log-probability of rejected responses"),
    "reference_gap": Metric(
        "nats", "watch", "|log-ratio| of policy and reference a response: how far it has moved"
    ),
    "kl": Metric("nats", "watch", "KTO's point of reference: log-ratio of mismatched responses"),
    "reward_shift": Metric("nats", "watch", "BCO's threshold between the labels' rewards"),
    "objective/kl": Metric("nats", "watch", "KL(policy‖reference) a response, estimator k1"),
    "objective/kl_k3": Metric("nats", "watch", "the same, estimator k3 (never negative)"),
    "objective/entropy": Metric("nats", "watch", "−log-probability of sampled responses"),
    "objective/scores": Metric("reward", "up", "raw score of responses, EOS penalty included"),
    "objective/scores_se": Metric("reward", "watch", "standard error of scores, over prompts"),
    "objective/gold_se": Metric("reward", "watch", "standard error of gold, over prompts"),
    "objective/kl_coef": Metric("reward/nat", "watch", "weight of the KL penalty, where it adapts"),
    "objective/kl_budget_used": Metric("share", "watch", "objective/kl divided by kl_budget"),
    "objective/gold": Metric("reward", "up", "reward that is only watched, never trained on"),
    "objective/non_score_reward": Metric("reward", "watch", "−kl_coef · KL summed a response"),
    "objective/rlhf_reward": Metric("reward", "up", "scores + non_score_reward"),
    "policy/approxkl_avg": Metric("nats/token", "watch", "KL of old and new policy, estimator k2"),
    "policy/clipfrac_avg": Metric("share", "watch", "response tokens whose ratio was clipped"),
    "loss/policy_avg": Metric("1", "watch", "clipped policy loss, mean over response tokens"),
    "loss/kl_avg": Metric("nats/token", "watch", "KL penalty in the loss before its weight"),
    "loss/value_avg": Metric("reward²", "down", "clipped value loss, mean over response tokens"),
    "val/ratio": Metric("1", "watch", "mean ratio of new to old policy; floats near 1"),
    "val/clipfrac_avg": Metric("share", "watch", "response tokens whose value change was clipped"),
    "val/num_eos_tokens": Metric("responses", "up", "sampled responses that ended by themselves"),
    "clip_ratio/low_mean": Metric(
        "share", "watch", "ratios clipped below: tokens (rloo: responses)"
    ),
    "clip_ratio/high_mean": Metric("share", "watch", "ratios clipped above"),
    "clip_ratio/region_mean": Metric("share", "watch", "ratios clipped below or above"),
    "reward_std": Metric("reward", "watch", "spread of a step's rewards, EOS penalty included"),
    "frac_reward_zero_std": Metric("share", "down", "prompts whose responses all have one reward"),
    "pairs_rate": Metric("share", "up", "prompts that gave a pair to learn from"),
    "round": Metric("1", "watch", "round of iterated DPO"),
    "best_of_n/scores": Metric("reward", "up", "reward of each prompt's best response"),
    "best_of_n/kl": Metric("nats", "watch", "estimate of KL(best of n‖sampled model) a response"),
    "best_of_n/kl_bound": Metric("nats", "watch", "log n − (n − 1)/n: that KL is at most so much"),
    "length": Metric("tokens", "watch", "tokens of a sampled response"),
    "eos_rate": Metric("share", "up", "sampled responses that ended by themselves"),
    "repetition": Metric(
        "share", "down", "4-grams of a sampled response that it has said before (seq-rep-4)"
    ),
    "objective/length_correlation": Metric(
        "1", "watch", "correlation of raw scores with lengths, over a rollout's responses"
    ),
    "val/explained_variance": Metric(
        "1", "up", "share of the variance of returns that values explain; 0: none, 1: all"
    ),
    "update/lost": Metric(
        "share",
        "down",
        "weights with a gradient that a row's last update left as they were (a sample)",
    ),
    "start/reference_gap": Metric(
        "nats", "watch", "|log-ratio| of policy and reference a response before the first update"
    ),
    "start/surprise": Metric(
        "nats/token",
        "down",
        "−log-probability of chosen responses less the entropy, before the first update",
    ),
    "rewards/confident_errors": Metric(
        "share", "down", "of the quarter of pairs with the largest |margin|: margin below 0"
    ),
    "rewards/length_correlation": Metric(
        "1", "watch", "correlation of margins with relative difference in length, inside pairs"
    ),
}


def metric(name: str) -> Metric:
    """The entry of a metric; evaluation's carry the prefix `eval_`."""
    return METRICS[name.removeprefix("eval_")]


def metrics_of(row: Mapping[str, float]) -> dict[str, float]:
    """A row of the log without its step."""
    return {name: value for name, value in row.items() if name != "step"}


class Journal:
    """Rows of metrics, in memory and (with a path) appended to metrics.jsonl as they come."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.history: list[dict[str, float]] = []
        self._newest: dict[str, float] = {}

    def log(self, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Write one row; times are left out on purpose, so that equal runs have equal logs."""
        for name, value in metrics.items():
            metric(name)
            if not math.isfinite(value):
                raise NumericalError(f"step {step}: the metric {name} is {value}")
        row = {"step": float(step), **{k: float(v) for k, v in metrics.items()}}
        row["step"] = step
        self.history.append(row)
        self._newest.update(metrics_of(row))
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        return row

    def last(self) -> dict[str, float]:
        """The newest value of every metric."""
        return dict(self._newest)

    def rewind(self, num_rows: int) -> None:
        """Keep the rows that a checkpoint knew of; a torn last line goes with the rest."""
        if self.path is None or not self.path.exists():
            return
        keep_rows(self.path, num_rows)
        self.history = read_metrics(self.path)
        self._newest = {k: v for row in self.history for k, v in metrics_of(row).items()}
