"""The honest comparison: measured arms in, results.json out.

Settings (which β, which KL coefficient) are chosen on one half of the prompts; every interval, win
rate and verdict comes from the other half.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.data.records import Prompt
from palate.data.splits import halves
from palate.errors import UsageError
from palate.experiments.arms import (
    Arm,
    Decoding,
    Grid,
    Judge,
    Measured,
    arm_roles,
    as_text,
    measure,
)
from palate.experiments.verdict import Evidence, reach_verdict
from palate.measures.estimate import (
    Estimate,
    across_seeds,
    difference_estimate,
    mean_estimate,
    rate_estimate,
)
from palate.measures.frontier import FrontierPoint, MatchedDifference, matched_difference
from palate.measures.winrate import minimum_detectable_effect, win_rate
from palate.training.folder import environment
from palate.training.progress import progress

SEED_OF_BOOTSTRAP = 20231229
Rows = NDArray[np.int64]


class Comparison:
    """Arms measured on common prompts, for every seed, and the statistics over them."""

    def __init__(
        self,
        arms: Sequence[Arm],
        prompts: Sequence[Prompt],
        measured: Mapping[str, Mapping[int, Measured]],
    ) -> None:
        self.arms = {arm.name: arm for arm in arms}
        self.prompts = list(prompts)
        self.measured = measured
        self.seeds = sorted({seed for by_seed in measured.values() for seed in by_seed})
        sides = halves(self.prompts)
        place = {id(prompt): number for number, prompt in enumerate(self.prompts)}
        self.choose = np.array([place[id(p)] for p in sides.choose])
        self.judge = np.array([place[id(p)] for p in sides.judge])
        self.sft = next(arm.name for arm in arms if arm.road == "sft")
        # Without a gold reward everything is judged by the proxy, and called so.
        self.by = "gold" if all(self.has(name, "gold") for name in self.arms) else "proxy"
        self.unit = f"{self.by} reward"

    # -- rows by arm -----------------------------------------------------------------------------

    def per_prompt(self, arm: str, quantity: str, *, seed: int, rows: Rows) -> Grid:
        """Mean over samples of each prompt in `rows`."""
        by_seed = self.measured[arm]
        one = by_seed.get(seed, next(iter(by_seed.values())))
        values = getattr(one, quantity)
        assert values is not None
        mean: Grid = values[rows].mean(1)
        return mean

    def has(self, arm: str, quantity: str) -> bool:
        """Whether a quantity was measured for an arm."""
        return all(getattr(one, quantity) is not None for one in self.measured[arm].values())

    def estimate(self, arm: str, quantity: str, unit: str) -> Estimate | None:
        """Mean over seeds and the judging prompts; None where it was not measured."""
        if not self.has(arm, quantity):
            return None
        rows = [
            self.per_prompt(arm, quantity, seed=seed, rows=self.judge)
            for seed in self.measured[arm]
        ]
        if quantity == "stopped" and len(rows) == 1:
            return rate_estimate(rows[0], unit=unit, name=arm)
        return across_seeds(rows, unit=unit, name=f"{arm} {quantity}")

    def quality(self, arm: str, *, rows: Rows) -> float:
        """What arms of a road are chosen by: gold reward, or the proxy without one."""
        found = [
            self.per_prompt(arm, self.by, seed=s, rows=rows).mean() for s in self.measured[arm]
        ]
        return float(np.mean(found))

    def chosen(self, road: str) -> str | None:
        """The road's best arm on the choosing half."""
        names = [name for name, arm in self.arms.items() if arm.road == road]
        return max(names, key=lambda n: self.quality(n, rows=self.choose)) if names else None

    # -- pairs of arms ---------------------------------------------------------------------------

    def head_to_head(self, a: str, b: str) -> dict[str, Any]:
        """Win rate and difference of two arms on the judging half."""
        wins = win_rate(
            first=self._samples_of(a), second=self._samples_of(b), name=f"{a} against {b}"
        )
        return {
            "a": a,
            "b": b,
            "win_rate": wins.rate.to_json(),
            "difference": self.difference(a, b).to_json(),
            "p_value": wins.p_value,
            "minimum_detectable_effect": wins.minimum_detectable_effect,
        }

    def _samples_of(self, arm: str) -> list[Grid]:
        """Reward of every sample of every seed, by judging prompt: responses meet responses."""
        values = [getattr(one, self.by)[self.judge] for one in self.measured[arm].values()]
        return list(np.concatenate(values, axis=1))

    def difference(self, a: str, b: str) -> Estimate:
        """Mean of a − b on the judging half, paired by prompt, over seeds."""
        rows = [
            self.per_prompt(a, self.by, seed=seed, rows=self.judge)
            - self.per_prompt(b, self.by, seed=seed, rows=self.judge)
            for seed in self.seeds
        ]
        return across_seeds(rows, unit=self.unit, name=f"{a} − {b}")

    def matched(self) -> MatchedDifference | None:
        """RLHF − DPO in reward at one KL: that of the nearer of the two chosen arms.

        Which KL is decided on the choosing half, like the arms; a road's farthest arm, which may
        be past its best, does not set the point.
        """
        generator = np.random.default_rng(SEED_OF_BOOTSTRAP)
        found = [self._matched_for([seed], generator) for seed in self.seeds]
        together = self._matched_for(self.seeds, generator)
        if together is None or len(found) < 3 or any(one is None for one in found):
            return together
        # With seeds to tell from: the spread between them joins the spread between prompts.
        between = mean_estimate(
            [one.difference.value for one in found if one is not None], unit=self.unit
        )
        within = together.difference
        half = float(np.hypot(within.half_width, between.half_width))
        wide = Estimate(
            within.value, within.value - half, within.value + half, within.n, within.unit
        )
        return MatchedDifference(wide, together.kl, together.first_reward, together.second_reward)

    def _matched_for(
        self, seeds: Sequence[int], generator: np.random.Generator
    ) -> MatchedDifference | None:
        def mean(arm: str, quantity: str) -> Grid:
            rows = [self.per_prompt(arm, quantity, seed=s, rows=self.judge) for s in seeds]
            average: Grid = np.mean(rows, axis=0)
            return average

        points = {
            road: [
                FrontierPoint(gold=mean(name, self.by), kl=np.maximum(mean(name, "kl"), 0.0))
                for name, arm in self.arms.items()
                if arm.road == road
            ]
            for road in ("rlhf", "dpo")
        }
        ends = [max(float(point.kl.mean()) for point in road) for road in points.values()]
        chosen = [self.chosen(road) for road in points]
        kls = [
            float(np.mean([self.per_prompt(a, "kl", seed=s, rows=self.choose) for s in seeds]))
            for a in chosen
            if a is not None
        ]
        return matched_difference(
            kl=min(*ends, *kls),
            first=points["rlhf"],
            second=points["dpo"],
            sft_gold=mean(self.sft, self.by),
            unit=self.unit,
            generator=generator,
        )

    # -- the file --------------------------------------------------------------------------------

    def results(self, *, title: str) -> dict[str, Any]:
        """results.json, without what only the demo knows (reward model, curves, pipeline)."""
        picked = {road: self.chosen(road) for road in ("dpo", "rlhf")}
        names = [n for n, arm in self.arms.items() if arm.road != "yardstick"]
        contests = [(n, self.sft) for n in names if n != self.sft]
        dpo, rlhf = picked["dpo"], picked["rlhf"]
        if dpo and rlhf:
            contests.append((rlhf, dpo))
        matched = self.matched() if dpo and rlhf else None
        return {
            "schema": 1,
            "title": title,
            "arms": {name: self._arm(name, picked) for name in self.arms},
            "head_to_head": [self.head_to_head(a, b) for a, b in contests],
            "matched": matched and {"kl": matched.kl, "difference": matched.difference.to_json()},
            "matched_reason": "" if matched else "the two roads' KL ranges do not overlap",
            "verdict": self._verdict(dpo, rlhf, matched) if dpo and rlhf else None,
            "seeds": self.seeds,
            "environment": environment(),
            "num_prompts": len(self.prompts),
            "num_judged": len(self.judge),
            "unit_gold": self.unit,
            "reward_model": None,
            "pipeline": [],
            "curves": {},
            "over_optimization": None,
            "samples": self._samples([n for n in (self.sft, dpo, rlhf) if n]),
        }

    def _arm(self, name: str, picked: Mapping[str, str | None]) -> dict[str, Any]:
        arm = self.arms[name]

        def entry(quantity: str, unit: str) -> dict[str, Any] | None:
            found = self.estimate(name, quantity, unit)
            return found.to_json() if found is not None else None

        versus = None
        if name != self.sft:
            versus = self.head_to_head(name, self.sft)["win_rate"]
        return {
            "kind": arm.kind,
            "road": arm.road,
            "label": arm.label,
            "settings": dict(arm.settings),
            "chosen": picked.get(arm.road) == name,
            "per_seed": [self._one_seed(name, seed) for seed in self.measured[name]],
            "gold_reward": entry("gold", "gold reward"),
            "proxy_reward": entry("proxy", "proxy reward"),
            "kl": entry("kl", "nats/response"),
            "kl_k1": entry("kl_k1", "nats/response"),
            "kl_k3": entry("kl_k3", "nats/response"),
            "win_rate_vs_sft": versus,
            "length": entry("length", "tokens"),
            "eos_rate": entry("stopped", "share"),
            "cost": arm.cost.to_json()
            | {"amortized": arm.amortized.to_json() if arm.amortized else None},
        }

    def _one_seed(self, name: str, seed: int) -> dict[str, Any]:
        def mean(quantity: str) -> float | None:
            if not self.has(name, quantity):
                return None
            return float(self.per_prompt(name, quantity, seed=seed, rows=self.judge).mean())

        return {
            "seed": seed,
            "gold_reward": mean("gold"),
            "proxy_reward": mean("proxy"),
            "kl": mean("kl"),
            "length": mean("length"),
            "eos_rate": mean("stopped"),
        }

    def _verdict(self, dpo: str, rlhf: str, matched: MatchedDifference | None) -> dict[str, Any]:
        difference = matched.difference if matched else self.difference(rlhf, dpo)
        spread = difference_estimate(
            first=self.per_prompt(rlhf, self.by, seed=self.seeds[0], rows=self.judge),
            second=self.per_prompt(dpo, self.by, seed=self.seeds[0], rows=self.judge),
            unit=self.unit,
        )
        # Variance of one prompt's difference, from the half-width of the mean over all of them.
        variance = (spread.half_width / 1.96) ** 2 * len(self.judge)
        direct = self.head_to_head(rlhf, dpo)["win_rate"]
        return reach_verdict(
            Evidence(
                difference=difference,
                matched_kl=matched.kl if matched else None,
                gains={
                    "dpo": self.difference(dpo, self.sft),
                    "rlhf": self.difference(rlhf, self.sft),
                },
                win_rate=Estimate(**direct),
                times=self._times(rlhf, dpo),
                detectable=minimum_detectable_effect(
                    variance=variance, num_prompts=len(self.judge)
                ),
                num_prompts=len(self.judge),
                num_seeds=len(self.seeds),
            )
        )

    def _times(self, a: str, b: str) -> float | None:
        """Wall time of arm a over arm b's, where both were metered."""
        first, second = self.arms[a].cost.wall_s, self.arms[b].cost.wall_s
        return first / second if first and second else None

    def _samples(self, names: Sequence[str], *, count: int = 12) -> list[dict[str, Any]]:
        """Responses side by side, on the first judging prompts."""
        rows = []
        for row in self.judge[:count]:
            responses = {}
            for name in names:
                one = self.measured[name].get(self.seeds[0]) or next(
                    iter(self.measured[name].values())
                )
                responses[name] = {
                    "text": one.texts[row][0],
                    "gold": float(one.gold[row, 0]) if one.gold is not None else None,
                    "proxy": float(one.proxy[row, 0]) if one.proxy is not None else None,
                    "stopped": bool(one.stopped[row, 0]),
                }
            rows.append({"prompt": as_text(self.prompts[int(row)]), "responses": responses})
        return rows


def measure_arms(
    arms: Sequence[Arm],
    base: Path,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    gold: Judge | None,
) -> dict[str, dict[int, Measured]]:
    """Measure every arm and seed, with a progress bar."""
    total = sum(len(arm.models) for arm in arms) * len(prompts)
    measured: dict[str, dict[int, Measured]] = {}
    with progress("compare", total) as advance:
        for arm in arms:
            measured[arm.name] = {}
            for seed, model in arm.models.items():
                roles = arm_roles(base, model, arm.rewards.get(seed))
                measured[arm.name][seed] = measure(
                    roles, prompts, decoding, gold=gold, advance=partial(advance, words=arm.name)
                )
    return measured


def run_compare(
    *,
    arms: Mapping[str, Path],
    base: Path,
    prompts: Sequence[Prompt],
    reward: Path | None,
    gold: Judge | None,
    output_dir: Path,
    num_samples: int = 2,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    seed: int = 17,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Compare trained models with the model that they started from.

    Args:
        arms: name → model folder; a folder made by `palate ppo` is on the RLHF road, by
            `palate dpo` on the DPO road (its palate.json says so), others on neither.
        base: the common start.
        prompts: held-out prompts, at least four.
        reward: a reward model's folder, for the proxy reward.
        gold: a function of texts that says what is wanted.
        output_dir: gets results.json and report.html.
        num_samples: responses a prompt.
        max_new_tokens: tokens of a response at most.
        temperature: of sampling.
        seed: of sampling, the same for every arm.
        overwrite: replace results that are there.

    Raises:
        UsageError: nothing to judge by, too few prompts, or results are there already.
    """
    if "sft" in arms:
        raise UsageError("an arm cannot be named sft: that is the common start (--base)")
    if reward is None and gold is None:
        raise UsageError("nothing to judge by: give --reward, a reward model's folder")
    if len(prompts) < 4:
        raise UsageError(f"{len(prompts)} prompts cannot be compared on; give at least 4")
    target = output_dir / "results.json"
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists; choose another --output-dir, or --overwrite")
    by_road = {"dpo": "dpo", "ppo": "rlhf", "sft": "yardstick"}
    scored = {seed: reward} if reward else {}
    listed = [Arm("sft", "sft", "sft", "SFT", {seed: None}, scored)]
    for name, folder in arms.items():
        kind = _stage_of(folder)
        road = by_road.get(kind, "yardstick")
        listed.append(Arm(name, kind, road, name, {seed: folder}, scored))  # type: ignore[arg-type]
    decoding = Decoding(num_samples, max_new_tokens, temperature, seed)
    measured = measure_arms(listed, base, prompts, decoding, gold=gold)
    results = Comparison(listed, prompts, measured).results(title="Comparison")
    write_results(results, output_dir)
    return results


def write_results(results: Mapping[str, Any], folder: Path) -> None:
    """Write results.json and report.html."""
    from palate.experiments.report import write_report

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(text, encoding="utf-8")
    write_report(results, folder / "report.html")


def _stage_of(folder: Path) -> str:
    passport = folder / "palate.json"
    if not passport.exists():
        return "sft"
    stage: str = json.loads(passport.read_text(encoding="utf-8"))["stage"]
    return stage
