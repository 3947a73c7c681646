"""The statistics of a comparison: measured arms in, the content of results.json out.

Settings (which β, which KL coefficient) are chosen on one half of the prompts; every interval, win
rate and verdict comes from the other half.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.data.records import Prompt
from palate.data.splits import halves
from palate.errors import UsageError
from palate.experiments.arms import Arm, Grid, Measured
from palate.experiments.contests import at_equal_length, strengths
from palate.measures.estimate import Estimate, across_seeds, over_seeds, rate_estimate, within_rates
from palate.measures.frontier import FrontierPoint, MatchedDifference, matched_difference, redraw
from palate.measures.winrate import win_rate

SEED_OF_BOOTSTRAP = 20231229
Rows = NDArray[np.int64]


@cache
def _redrawn(num_prompts: int) -> Grid:
    """The resamples of the prompts, the same in every call and for every pair of groups."""
    return redraw(num_prompts, generator=np.random.default_rng(SEED_OF_BOOTSTRAP))


class Comparison:
    """Arms measured on common prompts, for every training seed, and the statistics over them.

    An arm's runs stand in the order of their seeds; two arms are compared run by run, whatever
    their seeds are called, and an arm of one run (the SFT model) meets every run of another.

    Raises:
        UsageError: arms of the two roads have different numbers of runs.
    """

    def __init__(
        self,
        arms: Sequence[Arm],
        prompts: Sequence[Prompt],
        measured: Mapping[str, Mapping[int, Measured]],
    ) -> None:
        self.arms = {arm.name: arm for arm in arms}
        self.prompts = list(prompts)
        self.measured = measured
        trained = [arm.name for arm in arms if arm.road in ("dpo", "rlhf")] or list(measured)
        self.seeds = sorted({seed for name in trained for seed in measured[name]})
        self.runs = {
            name: [by_seed[seed] for seed in sorted(by_seed)] for name, by_seed in measured.items()
        }
        self.num_runs = count_runs(arms, {name: len(runs) for name, runs in self.runs.items()})
        sides = halves(self.prompts)
        place = {id(prompt): number for number, prompt in enumerate(self.prompts)}
        self.choose = np.array([place[id(p)] for p in sides.choose])
        self.judge = np.array([place[id(p)] for p in sides.judge])
        self.sft = next(arm.name for arm in arms if arm.road == "sft")
        # Without a gold reward everything is judged by the proxy, and called so.
        self.by = "gold" if all(self.has(name, "gold") for name in self.arms) else "proxy"
        self.unit = f"{self.by} reward"

    # -- rows by arm -----------------------------------------------------------------------------

    def per_prompt(self, arm: str, quantity: str, *, run: int, rows: Rows) -> Grid:
        """Mean over samples of each prompt in `rows`, of one run."""
        values = getattr(self._run(arm, run), quantity)
        assert values is not None
        mean: Grid = values[rows].mean(1)
        return mean

    def has(self, arm: str, quantity: str) -> bool:
        """Whether a quantity was measured for an arm."""
        return all(getattr(one, quantity) is not None for one in self.runs[arm])

    def estimate(self, arm: str, quantity: str, unit: str) -> Estimate | None:
        """Mean over runs and the judging prompts; None where it was not measured."""
        if not self.has(arm, quantity):
            return None
        rows = [
            self.per_prompt(arm, quantity, run=run, rows=self.judge)
            for run in range(len(self.runs[arm]))
        ]
        if quantity == "stopped" and len(rows) == 1:
            return rate_estimate(rows[0], unit=unit, name=arm)
        return across_seeds(rows, unit=unit, name=f"{arm} {quantity}")

    def quality(self, arm: str, *, rows: Rows) -> float:
        """What arms of a road are chosen by: gold reward, or the proxy without one."""
        return float(self._over_runs(arm, self.by, rows=rows).mean())

    def chosen(self, road: str) -> str | None:
        """The road's best arm on the choosing half."""
        names = [name for name, arm in self.arms.items() if arm.road == road]
        return max(names, key=lambda n: self.quality(n, rows=self.choose)) if names else None

    def _over_runs(
        self, arm: str, quantity: str, *, rows: Rows, runs: Sequence[int] | None = None
    ) -> Grid:
        """Mean over runs (all, or those that are asked for) and samples, [prompt]."""
        wanted = range(len(self.runs[arm])) if runs is None else runs
        found = [self.per_prompt(arm, quantity, run=run, rows=rows) for run in wanted]
        average: Grid = np.mean(found, axis=0)
        return average

    # -- pairs of arms ---------------------------------------------------------------------------

    def head_to_head(self, a: str, b: str) -> dict[str, Any]:
        """Win rate and difference of two arms on the judging half.

        From three seeds on the intervals speak of the methods; the p-value is over prompts, of
        these models.
        """
        name = f"{a} against {b}"

        def plain(run: int | None) -> Estimate:
            ours, theirs = (self._samples(arm, self.by, run) for arm in (a, b))
            return win_rate(first=ours, second=theirs, name=name).rate

        def controlled(run: int | None) -> Estimate:
            ours, theirs = (self._samples(arm, self.by, run) for arm in (a, b))
            lengths = [self._samples(arm, "length", run) for arm in (a, b)]
            return at_equal_length(
                ours, theirs, first_lengths=lengths[0], second_lengths=lengths[1], name=name
            )

        wins = win_rate(
            first=self._samples(a, self.by), second=self._samples(b, self.by), name=name
        )
        rate = self._over_seeds(plain, a, b)
        return {
            "a": a,
            "b": b,
            "win_rate": rate.to_json(),
            "length_controlled": self._over_seeds(controlled, a, b).to_json(),
            "difference": self.difference(a, b).to_json(),
            "p_value": wins.p_value,
            "minimum_detectable_effect": wins.minimum_detectable_effect
            * (rate.half_width / wins.rate.half_width),
        }

    def _over_seeds(self, of: Callable[[int | None], Estimate], *arms: str) -> Estimate:
        """A rate of all runs together, as wide as the spread between three or more makes it."""
        together, count = of(None), max(len(self.runs[arm]) for arm in arms)
        if count < 3:
            return together
        return within_rates(over_seeds(together, [of(run) for run in range(count)]))

    def _samples(self, arm: str, quantity: str, run: int | None = None) -> Grid:
        """A quantity of every sample, [judging prompt, sample], of one run or of all."""
        runs = self.runs[arm] if run is None else [self._run(arm, run)]
        return np.concatenate([getattr(one, quantity)[self.judge] for one in runs], axis=1)

    def strengths(self) -> dict[str, Any] | None:
        """Trained arms on one scale, in log-odds against the SFT model; None for two arms."""
        names = [n for n, arm in self.arms.items() if arm.road != "yardstick" and n != self.sft]
        if len(names) < 2:
            return None
        found = strengths({n: self._samples(n, self.by) for n in (self.sft, *names)})
        return found and {name: one.to_json() for name, one in found.items()}

    def _run(self, arm: str, run: int) -> Measured:
        """A run of an arm; an arm of one run meets every run of another."""
        runs = self.runs[arm]
        return runs[run] if len(runs) > 1 else runs[0]

    def difference(self, a: str, b: str) -> Estimate:
        """Mean of a − b on the judging half, paired by prompt, over runs."""
        rows = [
            self.per_prompt(a, self.by, run=run, rows=self.judge)
            - self.per_prompt(b, self.by, run=run, rows=self.judge)
            for run in range(max(len(self.runs[a]), len(self.runs[b])))
        ]
        return across_seeds(rows, unit=self.unit, name=f"{a} − {b}")

    # -- groups of arms at one KL ----------------------------------------------------------------

    def matched(self) -> MatchedDifference | None:
        """RLHF − DPO in reward at one KL: that of the nearer of the two chosen arms.

        Which KL is decided on the choosing half, like the arms; a road's farthest arm, which may
        be past its best, does not set the point. None where a road never left the SFT model, in
        one run or in all.
        """
        chosen = [arm for arm in (self.chosen("rlhf"), self.chosen("dpo")) if arm is not None]
        kl = min(float(self._over_runs(arm, "kl", rows=self.choose).mean()) for arm in chosen)
        roads = {
            road: [name for name, arm in self.arms.items() if arm.road == road]
            for road in ("rlhf", "dpo")
        }
        return self.at_kl(kl, roads["rlhf"], roads["dpo"])

    def at_kl(
        self, kl: float, first: Sequence[str], second: Sequence[str] = ()
    ) -> MatchedDifference | None:
        """Reward of one group of arms − another's at one KL, on the judging half.

        Args:
            kl: nats a response; where a group's arms end before it, their end.
            first: names of arms; their frontier runs through the SFT model and them.
            second: the other group; without one the difference is the gain over the SFT model.

        Returns:
            None where a group never left the SFT model, in one run or in all.
        """
        every = range(self.num_runs)
        found = [self._matched_at(kl, first, second, [run]) for run in every]
        together = self._matched_at(kl, first, second, every)
        apart = [one.difference for one in found if one is not None]
        if together is None or len(apart) < len(found):
            return None
        if len(found) < 3:
            return together
        # With runs to tell from: the spread between them joins the spread between prompts.
        return replace(together, difference=over_seeds(together.difference, apart))

    def _matched_at(
        self,
        kl: float,
        first: Sequence[str],
        second: Sequence[str],
        runs: Sequence[int],
    ) -> MatchedDifference | None:
        """The difference at a KL, or where the groups of these runs end before it, at that end."""

        def mean(arm: str, quantity: str) -> Grid:
            return self._over_runs(arm, quantity, rows=self.judge, runs=runs)

        def points(names: Sequence[str]) -> list[FrontierPoint]:
            return [
                FrontierPoint(gold=mean(name, self.by), kl=np.maximum(mean(name, "kl"), 0.0))
                for name in names
            ]

        sft = mean(self.sft, self.by)
        ours = points(first)
        # Against the SFT model itself: its reward, wherever the group goes.
        theirs = points(second) or [FrontierPoint(gold=sft, kl=point.kl) for point in ours]
        ends = [max(float(point.kl.mean()) for point in group) for group in (ours, theirs)]
        return matched_difference(
            kl=min(kl, *ends), first=ours, second=theirs, sft_gold=sft, unit=self.unit,
            redrawn=_redrawn(len(self.judge)),
        )  # fmt: skip


def count_runs(arms: Sequence[Arm], numbers: Mapping[str, int]) -> int:
    """Runs (training seeds) of every arm on the two roads; 1 where there is no such arm.

    Args:
        arms: of the comparison.
        numbers: arm → its number of runs.

    Raises:
        UsageError: arms of the two roads have different numbers.
    """
    counts = {arm.name: numbers[arm.name] for arm in arms if arm.road in ("dpo", "rlhf")}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise UsageError(
            f"the arms have different numbers of training seeds ({listed}); give every arm of the "
            "two roads the same number of folders"
        )
    return next(iter(counts.values()), 1)
