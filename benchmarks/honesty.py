"""Whether a comparison keeps its promises: simulated scores of known truth, real statistics.

    python benchmarks/honesty.py                                   # make honesty

No model is trained. A trial draws scores of an SFT model and of two arms a road on common prompts
and hands them to the `Comparison` that `palate compare` uses. The truth is known: a road gains
slope · √KL. Counted are intervals that hold the truth, roads of equal slope of which one is claimed
to be better, and differences of twice the stated detectable size that are found.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from palate.data.records import Prompt
from palate.experiments.arms import Arm, Kind, Measured, Road
from palate.experiments.comparison import Comparison
from palate.experiments.results import results_of
from palate.experiments.verdict import ENOUGH
from palate.measures.estimate import Estimate, rate_estimate

KLS = {"weak": 1.0, "strong": 4.0}  # nats a response of each road's two arms
ROADS: dict[Road, Kind] = {"dpo": "dpo", "rlhf": "ppo"}
NUM_TRIALS = 2000
TRIALS_OF_A_PILOT = 50


@dataclass(frozen=True)
class World:
    """Where the scores come from.

    Attributes:
        num_prompts: half of them choose, half judge.
        num_seeds: training seeds of every arm.
        slope: reward that DPO gains per √nat.
        advantage: what RLHF gains per √nat more.
        seed_spread: standard deviation of a training seed's slope.
        prompt_spread: of the reward that a prompt gives whoever answers.
        noise: of one response.
        num_samples: responses a prompt and model.
    """

    num_prompts: int = 200
    num_seeds: int = 1
    slope: float = 0.5
    advantage: float = 0.0
    seed_spread: float = 0.0
    prompt_spread: float = 0.6
    noise: float = 0.7
    num_samples: int = 2

    def slope_of(self, road: Road) -> float:
        return self.slope + (self.advantage if road == "rlhf" else 0.0)


@dataclass(frozen=True)
class Trial:
    """What one comparison said, and what was true.

    Attributes:
        difference: RLHF − DPO at the matched KL.
        truth: of that; with one seed of these models, with several of the roads.
        kl: where they were matched.
        win_rate: of the chosen RLHF arm against the SFT model.
        win_truth: of that.
        choice: the verdict's.
        sentence: the verdict's.
    """

    difference: Estimate
    truth: float
    kl: float
    win_rate: Estimate
    win_truth: float
    choice: str
    sentence: str

    @property
    def claims_difference(self) -> bool:
        return self.choice in ROADS and not self.claims_enough

    @property
    def claims_enough(self) -> bool:
        return "is enough" in self.sentence


def run_trial(world: World, seed: int) -> Trial:
    """One draw of scores through the statistics of `palate compare`."""
    generator = np.random.default_rng(seed)
    prompts = [Prompt(f"prompt {number} of {seed}") for number in range(world.num_prompts)]
    size = (world.num_prompts, world.num_samples)
    ease = generator.normal(0.0, world.prompt_spread, size=(world.num_prompts, 1))
    # How far a policy moves on a prompt, of mean 1.
    reach = generator.gamma(3.0, 1 / 3.0, size=(world.num_prompts, 1))
    texts = [[""] * world.num_samples] * world.num_prompts
    one = np.ones(size)

    def scores(gain: float, kl: float) -> Measured:
        gold = ease + gain + generator.normal(0.0, world.noise, size=size)
        here = kl * reach * generator.gamma(8.0, 1 / 8.0, size=size)
        return Measured(texts, gold, None, here, None, None, length=20 * one, stopped=one)

    arms = [Arm("sft", "sft", "sft", "SFT", {0: None})]
    measured = {"sft": {0: scores(0.0, 0.0)}}
    slopes = {
        road: world.slope_of(road)
        + generator.normal(0.0, world.seed_spread, size=world.num_seeds)
        for road in ROADS
    }  # fmt: skip
    for road, kind in ROADS.items():
        for name, kl in KLS.items():
            arm = f"{road}-{name}"
            arms.append(Arm(arm, kind, road, arm, dict.fromkeys(range(world.num_seeds))))
            gains = slopes[road] * np.sqrt(kl)
            measured[arm] = {run: scores(gain, kl) for run, gain in enumerate(gains)}
    return _heard(Comparison(arms, prompts, measured), world, slopes)


def _heard(comparison: Comparison, world: World, slopes: dict[Road, np.ndarray]) -> Trial:
    results = results_of(comparison, title="simulated")
    of_models = world.num_seeds < 3
    true = {
        road: float(slopes[road].mean()) if of_models else world.slope_of(road) for road in ROADS
    }
    chosen = comparison.chosen("rlhf")
    assert chosen is not None
    kl = results["matched"]["kl"]
    return Trial(
        difference=Estimate(**results["matched"]["difference"]),
        truth=(true["rlhf"] - true["dpo"]) * np.sqrt(kl),
        kl=kl,
        win_rate=Estimate(**results["arms"][chosen]["win_rate_vs_sft"]),
        win_truth=_win_truth(world, slopes["rlhf"] if of_models else None, chosen),
        choice=results["verdict"]["choice"],
        sentence=results["verdict"]["sentence"],
    )


def _win_truth(world: World, slopes: np.ndarray | None, arm: str) -> float:
    """P(a response of the arm beats one of the SFT model): two normals; the prompt cancels."""
    from scipy.special import ndtr

    root, spread = np.sqrt(KLS[arm.split("-")[1]]), np.sqrt(2) * world.noise
    if slopes is None:  # over seeds too
        mean, spread = world.slope_of("rlhf") * root, np.hypot(spread, world.seed_spread * root)
        return float(ndtr(mean / spread))
    return float(ndtr(slopes * root / spread).mean())


def detectable(world: World, seed: int) -> float:
    """The advantage per √nat that is stated to be found with 80 % power: a pilot's median."""
    pilots = [run_trial(world, seed + number) for number in range(TRIALS_OF_A_PILOT)]
    # 1.43 half-widths, as the verdict says (`Evidence.detectable`).
    return float(
        np.median([1.4295 * one.difference.half_width / np.sqrt(one.kl) for one in pilots])
    )


@dataclass(frozen=True)
class Row:
    """A line of the table: a world, what is counted of it, and the bounds on the share."""

    words: str
    share: Estimate
    low: float
    high: float

    def __str__(self) -> str:
        keeps = "yes" if self.low <= self.share.value <= self.high else "**no**"
        numbers = " | ".join(
            f"{100 * value:.1f} %" for value in (self.share.value, self.share.low, self.share.high)
        )
        bounds = f"{100 * self.low:.0f}–{100 * self.high:.0f} %"
        return f"| {self.words} | {numbers} | {bounds} | {keeps} |"


def rows_of(name: str, world: World, *, num_trials: int, seed: int) -> list[Row]:
    """Coverage and false claims on a tie; then power at twice what is stated to be detectable."""

    def row(words: str, held: Sequence[bool], low: float, high: float) -> Row:
        share = rate_estimate(np.asarray(held, dtype=np.float64), unit="share")
        return Row(f"{name}: {words}", share, low, high)

    one_seed = world.num_seeds < 3
    widest = 0.96 if one_seed else 1.0
    ties = [run_trial(world, seed + number) for number in range(num_trials)]
    stated = detectable(world, seed + 10 * num_trials)
    planted = replace(world, advantage=2 * stated)
    found = [run_trial(planted, seed + 20 * num_trials + number) for number in range(num_trials)]
    enough = replace(world, advantage=ENOUGH * world.slope / (1 - ENOUGH))
    nearly = [run_trial(enough, seed + 40 * num_trials + number) for number in range(num_trials)]
    return [
        row("95 % interval of the difference, a tie", [_holds(t) for t in ties], 0.94, widest),
        row(f"the same, RLHF {2 * stated:+.2f} per √nat", [_holds(t) for t in found], 0.94, widest),
        row(
            "95 % interval of the win rate over SFT",
            [t.win_rate.low <= t.win_truth <= t.win_rate.high for t in (*ties, *found)],
            0.94,
            widest,
        ),
        row("a tie, one road claimed better", [t.claims_difference for t in ties], 0, 0.06),
        row(
            "RLHF ahead by twice the stated size, found",
            [t.choice == "rlhf" for t in found],
            0.95,
            1,
        ),
        row(
            f"RLHF ahead by {100 * ENOUGH:.0f} % of its gain, “DPO is enough” claimed",
            [t.claims_enough for t in nearly],
            0,
            0.06,
        ),
    ]


def _holds(trial: Trial) -> bool:
    return trial.difference.low <= trial.truth <= trial.difference.high


WORLDS = {
    "1 seed": World(),
    "1 seed, 60 prompts": World(num_prompts=60),
    "3 seeds": World(num_seeds=3, seed_spread=0.1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=NUM_TRIALS, help="of every row")
    parser.add_argument("--seed", type=int, default=20261124, help="of the first trial")
    options = parser.parse_args()
    print(f"| {options.trials:,} trials a row | share | low | high | promised | kept |")
    print("| --- " * 6 + "|")
    for name, world in WORLDS.items():
        for row in rows_of(name, world, num_trials=options.trials, seed=options.seed):
            print(row, flush=True)


if __name__ == "__main__":
    main()
