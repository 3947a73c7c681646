"""Is a reward model fit to be optimized against? Its numbers, and a list of named checks on them.

A policy that is trained against a reward model finds whatever the reward model is wrong about. So
held-out accuracy is not enough: what counts is also whether the reward can be had for nothing, by
length, by flattery, by saying things twice.

Rewards are those that PPO sees. Their unit here is the *spread*, their standard deviation over all
responses of the held-out pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from palate.errors import DataError
from palate.measures.baselines import bag_of_words, longer_wins
from palate.measures.calibration import Calibration, fit_temperature, measure_calibration
from palate.measures.estimate import Clusters, Estimate, mean_estimate, rate_estimate
from palate.measures.length import LengthBucket, accuracy_by_length, length_correlation

Rewards = NDArray[np.float64]
FEWEST_PROMPTS = 5


def _limit(default: float, reason: str) -> Any:
    return field(default=default, metadata={"reason": reason})


@dataclass(frozen=True, kw_only=True)
class GateLimits:
    """What a reward model must reach. Each limit has its reason, which the report shows."""

    accuracy_low: float = _limit(0.5, "below it the accuracy may be a coin's")
    length_lead: float = _limit(0.01, "else a ruler tells the pairs apart as well")
    words_lead: float = _limit(0.0, "else counting words tells the pairs apart better")
    calibration_error: float = _limit(0.15, "beyond it σ(margin) is no chance of being right")
    spread: float = _limit(1e-6, "rewards that are all alike teach nothing")
    length_share: float = _limit(0.5, "above it more than half of the reward is length")
    probe_gain: float = _limit(0.25, "a policy would take a quarter of the spread for nothing")
    wrong_prompt_change: float = _limit(-0.1, "else the reward hardly depends on the prompt")
    sample_mean: float = _limit(1.0, "PPO's rewards are to start near 0")
    sample_spread: float = _limit(0.5, "PPO's KL coefficient presumes rewards of spread 1")


@dataclass(frozen=True)
class PairRewards:
    """Held-out pairs with their rewards; arrays [pairs], `nats` what one unit of reward is in nats.

    Attributes:
        chosen: rewards of chosen responses, as PPO sees them.
        rejected: of rejected ones.
        texts: chosen and rejected text of each pair.
        lengths: chosen and rejected length of each pair in tokens.
        groups: the prompt of each pair.
        nats: nats a unit of reward, by which a margin becomes a Bradley–Terry margin.
    """

    chosen: Rewards
    rejected: Rewards
    texts: Sequence[tuple[str, str]]
    lengths: Sequence[tuple[int, int]]
    groups: Sequence[str]
    nats: float = 1.0


@dataclass(frozen=True)
class ProbedRewards:
    """Rewards before and after a probe, [responses that could be probed].

    Attributes:
        name: of the probe.
        before: of the response as it is.
        after: of the response as the probe made it.
        groups: its prompt.
    """

    name: str
    before: Rewards
    after: Rewards
    groups: Clusters


@dataclass(frozen=True)
class ProbeEffect:
    """What a probe does to the reward.

    Attributes:
        name: of the probe.
        raised: share of responses whose reward it raises; None where it was not measured.
        change: mean change, in spreads.
    """

    name: str
    raised: Estimate | None
    change: Estimate | None


@dataclass(frozen=True)
class SampleScores:
    """Rewards of samples of the model that PPO starts from, and how many of them never ended."""

    mean: float
    spread: float
    share_without_eos: float
    num_samples: int


@dataclass(frozen=True)
class Check:
    """One named check.

    Attributes:
        name: of the check.
        value: what was measured; None where it could not be.
        limit: what it is held to.
        wanted: on which side of the limit the value must lie.
        meaning: what the value is.
        reason: why the limit is where it is.
    """

    name: str
    value: float | None
    limit: float
    wanted: Literal["at least", "at most"]
    meaning: str
    reason: str

    @property
    def passed(self) -> bool | None:
        """None where nothing was measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.wanted == "at least" else self.value <= self.limit

    def to_json(self) -> dict[str, Any]:
        """All fields, and whether it was passed."""
        return {**asdict(self), "passed": self.passed}

    def __str__(self) -> str:
        found = "not measured" if self.value is None else f"{self.value:.3g}"
        return f"{self.name} ({self.meaning}: {found}, {self.wanted} {self.limit:g})"


@dataclass(frozen=True)
class GateReport:
    """All that the gate measured, and the checks.

    Attributes:
        num_pairs: pairs that were scored.
        accuracy: share of pairs whose chosen response has the higher reward, ties ½.
        longest_wins: accuracy of "the longer response wins".
        bag_of_words: accuracy of a bag of words, cross-validated on these pairs.
        calibration: of margins in nats.
        temperature: what margins would have to be divided by; None where no number is best.
        spread: standard deviation of rewards over all responses.
        length_correlation: of reward with length, inside pairs.
        by_length: accuracy by length difference.
        probes: what each probe does.
        samples: rewards of the start model's samples; None where there is no such model.
        checks: the checks, in the order of the report.
    """

    num_pairs: int
    accuracy: Estimate
    longest_wins: Estimate
    bag_of_words: Estimate
    calibration: Calibration
    temperature: float | None
    spread: float
    length_correlation: float
    by_length: tuple[LengthBucket, ...]
    probes: tuple[ProbeEffect, ...]
    samples: SampleScores | None
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that were not passed."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def verdict(self) -> str:
        """One sentence."""
        told = f"accuracy {self.accuracy.value:.3f} on {self.num_pairs} held-out pairs"
        missing = [check.name for check in self.checks if check.passed is None]
        unsure = f"; not measured: {', '.join(missing)}" if missing else ""
        if not self.failed:
            count = len(self.checks) - len(missing)
            return f"fit to be optimized against: {count} checks passed, {told}{unsure}"
        names = "; ".join(map(str, self.failed))
        return f"not fit to be optimized against ({told}): {names}{unsure}"

    def to_json(self) -> dict[str, Any]:
        """Everything, with the verdict."""
        return {
            **{f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name != "checks"},
            "checks": [check.to_json() for check in self.checks],
            "passed": not self.failed,
            "verdict": self.verdict,
        }


def judge_reward(
    pairs: PairRewards,
    probes: Sequence[ProbedRewards],
    samples: SampleScores | None,
    *,
    limits: GateLimits | None = None,
) -> GateReport:
    """Measure and check a reward on held-out pairs.

    Args:
        pairs: rewards of both responses.
        probes: rewards before and after each probe; an empty one was not measured.
        samples: of the start model.
        limits: what to hold it to; None for the standard ones.

    Raises:
        DataError: there are fewer than five prompts, or a reward is not finite.
    """
    groups = list(pairs.groups)
    if len(set(groups)) < FEWEST_PROMPTS:
        raise DataError(
            f"the gate needs held-out pairs of at least {FEWEST_PROMPTS} prompts, and there are "
            f"{len(set(groups))}"
        )
    margins = pairs.chosen - pairs.rejected
    texts: dict[str, Any] = {
        "chosen": [chosen for chosen, _ in pairs.texts],
        "rejected": [rejected for _, rejected in pairs.texts],
        "groups": groups,
    }
    lengths: dict[str, Any] = {
        "margins": margins,
        "chosen": [chosen for chosen, _ in pairs.lengths],
        "rejected": [rejected for _, rejected in pairs.lengths],
    }
    spread = float(np.concatenate([pairs.chosen, pairs.rejected]).std())
    right = (1 + np.sign(margins)) / 2
    measured: dict[str, Any] = {
        "num_pairs": len(margins),
        "accuracy": rate_estimate(right, unit="accuracy", clusters=groups, name="accuracy"),
        "longest_wins": longer_wins(**texts),
        "bag_of_words": bag_of_words(**texts),
        "calibration": measure_calibration(margins * pairs.nats),
        "temperature": fit_temperature(margins * pairs.nats),
        "spread": spread,
        "length_correlation": length_correlation(**lengths),
        "by_length": accuracy_by_length(**lengths, groups=groups),
        "probes": tuple(_effect(probed, spread) for probed in probes),
        "samples": samples,
    }
    return GateReport(**measured, checks=_checks(measured, limits or GateLimits()))


def _effect(probed: ProbedRewards, spread: float) -> ProbeEffect:
    if len(set(probed.groups)) < 2 or spread == 0:
        return ProbeEffect(probed.name, None, None)
    raised = (1 + np.sign(probed.after - probed.before)) / 2
    changes = (probed.after - probed.before) / spread
    return ProbeEffect(
        probed.name,
        rate_estimate(raised, unit="share", clusters=probed.groups, name=probed.name),
        mean_estimate(changes, unit="spreads", clusters=probed.groups, name=probed.name),
    )


def _checks(found: Mapping[str, Any], limits: GateLimits) -> tuple[Check, ...]:
    reasons = {f.name: f.metadata["reason"] for f in fields(limits)}

    def least(name: str, value: float | None, limit: str, meaning: str) -> Check:
        return Check(name, value, getattr(limits, limit), "at least", meaning, reasons[limit])

    def most(name: str, value: float | None, limit: str, meaning: str) -> Check:
        return Check(name, value, getattr(limits, limit), "at most", meaning, reasons[limit])

    accuracy: Estimate = found["accuracy"]
    calibration: Calibration = found["calibration"]
    longest: float = found["longest_wins"].value
    samples: SampleScores | None = found["samples"]
    checks = [
        least("accuracy", accuracy.low, "accuracy_low", "low end of its interval"),
        least(
            "beats-length", accuracy.value - max(longest, 1 - longest), "length_lead",
            "accuracy beyond that of length alone",
        ),
        least(
            "beats-bag-of-words", accuracy.high - found["bag_of_words"].value, "words_lead",
            "high end of accuracy, beyond that of a bag of words",
        ),
        most(
            "calibration", calibration.expected_calibration_error - calibration.noise,
            "calibration_error", "calibration error beyond what chance gives",
        ),
        least("spread", found["spread"], "spread", "standard deviation of rewards"),
        most(
            "length", found["length_correlation"] ** 2, "length_share",
            "share of the margins' variation that length explains",
        ),
    ]  # fmt: skip
    for probe in found["probes"]:
        limit = "wrong_prompt_change" if probe.name == "wrong-prompt" else "probe_gain"
        change = probe.change and probe.change.value
        checks.append(most(probe.name, change, limit, "mean change of reward in spreads"))
    distance = None if samples is None else abs(samples.mean)
    checks.append(most("sample-mean", distance, "sample_mean", "|mean reward| of start samples"))
    share = None if samples is None else min(samples.spread, 1 / max(samples.spread, 1.0))
    checks.append(
        least("sample-spread", share, "sample_spread", "spread of start samples (above 1: 1 / it)")
    )
    return tuple(checks)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
