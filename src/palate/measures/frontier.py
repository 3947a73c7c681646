"""Reward against distance: what each road buys for the same KL.

A road is a row of checkpoints (or of β) of one method. Its frontier runs through the common SFT
model at KL 0 and through its points, straight in √KL: under best-of-n and RL gold reward is close
to linear in √KL before it is over-optimized (Gao, Schulman and Hilton 2022, arXiv:2210.10760).
Two roads are compared only where both have been; nothing is extrapolated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.errors import DataError
from palate.measures.estimate import Estimate, bootstrap_interval


@dataclass(frozen=True, eq=False)
class FrontierPoint:
    """One model of a road, measured on the common prompts.

    Attributes:
        gold: [prompts], gold reward per prompt (the mean of its samples).
        kl: [prompts], KL(policy‖SFT) in nats per response; exact or k3, whose mean cannot be
            negative.
    """

    gold: NDArray[np.float64]
    kl: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.gold.shape != self.kl.shape or self.gold.ndim != 1:
            raise DataError(
                f"a frontier point needs one gold reward and one KL per prompt, not shapes "
                f"{self.gold.shape} and {self.kl.shape}"
            )
        if not (np.isfinite(self.gold).all() and np.isfinite(self.kl).all()):
            raise DataError("a frontier point has a reward or KL that is not finite")
        if self.kl.mean() < -1e-6:
            raise DataError(
                f"a frontier point has a mean KL of {self.kl.mean():.4g} nats; KL cannot be "
                "negative: measure it exactly, or with the k3 estimator"
            )


@dataclass(frozen=True)
class MatchedDifference:
    """Gold reward of the first road minus the second's, at one KL."""

    difference: Estimate
    kl: float
    first_reward: float
    second_reward: float


@dataclass(frozen=True)
class OverOptimization:
    """From `peak_kl` on, the proxy rose by `proxy_rise` while gold fell by `gold_drop`."""

    peak_kl: float
    gold_drop: float
    proxy_rise: float


def reward_at_kl(
    *, kl: float, point_kls: ArrayLike, point_rewards: ArrayLike, sft_reward: float
) -> float | None:
    """Reward of a road at a KL: straight lines in √KL through (0, SFT reward) and its points.

    Args:
        kl: nats per response, ≥ 0.
        point_kls: [points], in any order; points of equal KL are averaged.
        point_rewards: [points].
        sft_reward: where the road starts.

    Returns:
        Reward units; None beyond the road's largest KL.
    """
    kls = np.asarray(point_kls, dtype=np.float64)
    if kl < 0 or kls.size == 0 or kl > kls.max():
        return None
    rewards = np.asarray(point_rewards, dtype=np.float64)
    road = _Frontier(
        kls=np.concatenate([[0.0], kls])[None],
        rewards=np.concatenate([[sft_reward], rewards])[None],
    )
    return float(road.reward_at(np.array([kl]))[0])


def redraw(
    num_prompts: int, *, generator: np.random.Generator, num_resamples: int = 2000
) -> NDArray[np.float64]:
    """Bootstrap resamples of the prompts: the share of each in each, [resamples, prompts]."""
    counts = generator.multinomial(
        num_prompts, np.full(num_prompts, 1 / num_prompts), num_resamples
    )
    return counts / num_prompts


def matched_difference(
    *,
    first: Sequence[FrontierPoint],
    second: Sequence[FrontierPoint],
    sft_gold: NDArray[np.float64],
    redrawn: NDArray[np.float64],
    kl: float | None = None,
    unit: str = "gold reward",
    confidence: float = 0.95,
) -> MatchedDifference | None:
    """Difference in gold reward at matched KL.

    The bootstrap redraws prompts, the same ones for both roads and for the SFT model, and
    recomputes BOTH axes: a road's KL is as uncertain as its reward. A resample whose roads do not
    reach the asked KL is compared at the end of its overlap.

    Args:
        first: the points of one road.
        second: the points of the other, on the same prompts.
        sft_gold: [prompts], gold reward of the common SFT model.
        redrawn: [resamples, prompts], shares of each prompt (`redraw`).
        kl: nats per response at which to compare; None for the largest that both roads reached.
        unit: of the gold reward.
        confidence: in (0, 1).

    Returns:
        None where the roads do not overlap: one has no point or never left the SFT model, or `kl`
        is beyond the largest KL of one of them.

    Raises:
        DataError: if the points were measured on different numbers of prompts, or on fewer than
            two.
    """
    num_prompts = len(sft_gold)
    if num_prompts < 2 or any(len(p.gold) != num_prompts for p in (*first, *second)):
        raise DataError(
            f"the frontier needs the same prompts, at least two, for every point: the SFT model "
            f"has {num_prompts}, the points {sorted({len(p.gold) for p in (*first, *second)})}"
        )
    if not first or not second:
        return None
    everyone = np.full((1, num_prompts), 1 / num_prompts)
    ours, theirs = _Frontier.of(first, sft_gold, everyone), _Frontier.of(second, sft_gold, everyone)
    end = float(np.minimum(ours.end, theirs.end)[0])
    # The caller's end of a road is a mean, ours a weighted sum: they differ in their last bits.
    matched = end if kl is None or math.isclose(kl, end, rel_tol=1e-9) else kl
    if not 0 < matched <= end:
        return None
    first_reward = float(ours.reward_at(np.array([matched]))[0])
    second_reward = float(theirs.reward_at(np.array([matched]))[0])
    ours, theirs = _Frontier.of(first, sft_gold, redrawn), _Frontier.of(second, sft_gold, redrawn)
    ends = np.minimum(ours.end, theirs.end)
    at = ends if kl is None else np.minimum(ends, kl)
    draws = ours.reward_at(at) - theirs.reward_at(at)
    return MatchedDifference(
        difference=bootstrap_interval(
            draws,
            value=first_reward - second_reward,
            n=num_prompts,
            unit=unit,
            confidence=confidence,
        ),
        kl=matched,
        first_reward=first_reward,
        second_reward=second_reward,
    )


def over_optimized(
    *, proxy: ArrayLike, gold: ArrayLike, kl: ArrayLike, min_drop: float = 0.0
) -> OverOptimization | None:
    """Whether the proxy goes on rising while gold falls, as KL grows.

    Compares the model of the highest gold reward with the model of the largest KL.

    Args:
        proxy: [models], what training optimizes.
        gold: [models], what is wanted.
        kl: [models], nats per response, in any order.
        min_drop: gold units; a fall no larger than this is noise (its standard error, say).

    Returns:
        The evidence, or None where gold does not fall or the proxy does not rise with it.

    Raises:
        DataError: if there are fewer than two models, or the lengths differ.
    """
    order = np.argsort(np.asarray(kl, dtype=np.float64), kind="stable")
    lengths = {np.asarray(values).shape for values in (proxy, gold, kl)}
    if len(lengths) != 1 or len(order) < 2:
        raise DataError(
            f"over-optimization needs proxy, gold and KL of at least two models, not {lengths}"
        )
    proxies = np.asarray(proxy, dtype=np.float64)[order]
    golds = np.asarray(gold, dtype=np.float64)[order]
    peak = int(golds.argmax())
    drop, rise = float(golds[peak] - golds[-1]), float(proxies[-1] - proxies[peak])
    if drop <= min_drop or rise <= 0:
        return None
    peak_kl = float(np.asarray(kl, dtype=np.float64)[order][peak])
    return OverOptimization(peak_kl=peak_kl, gold_drop=drop, proxy_rise=rise)


@dataclass(frozen=True, eq=False)
class _Frontier:
    """The same road on every resample; the SFT model is its first point."""

    kls: NDArray[np.float64]  # [resamples, points]
    rewards: NDArray[np.float64]  # [resamples, points]

    @classmethod
    def of(
        cls,
        points: Sequence[FrontierPoint],
        sft_gold: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> "_Frontier":
        kls = np.stack([np.zeros_like(sft_gold), *(point.kl for point in points)], axis=1)
        rewards = np.stack([sft_gold, *(point.gold for point in points)], axis=1)
        return cls(kls=np.maximum(weights @ kls, 0.0), rewards=weights @ rewards)

    @property
    def end(self) -> NDArray[np.float64]:
        """[resamples], the largest KL that the road reached."""
        return np.asarray(self.kls.max(axis=1))

    def reward_at(self, kl: NDArray[np.float64]) -> NDArray[np.float64]:
        """[resamples], straight in √KL between the nearest points; 0 ≤ kl ≤ end."""
        below = np.where(self.kls <= kl[:, None], self.kls, -np.inf).max(axis=1)
        above = np.where(self.kls >= kl[:, None], self.kls, np.inf).min(axis=1)
        width = np.sqrt(above) - np.sqrt(below)
        share = (np.sqrt(kl) - np.sqrt(below)) / np.where(width > 0, width, 1.0)
        left, right = self._reward_of(below), self._reward_of(above)
        return np.asarray(left + share * (right - left))

    def _reward_of(self, kl: NDArray[np.float64]) -> NDArray[np.float64]:
        here = self.kls == kl[:, None]
        return np.asarray((self.rewards * here).sum(axis=1) / here.sum(axis=1))
