"""The acceptance of the embedded world: does the demo keep its promises on seeds 0 to 4?

    python benchmarks/demo_seeds.py --output-dir benchmarks/runs/demo-seeds     # make demo-seeds
    python benchmarks/demo_seeds.py 0 1 2 --keep     # these seeds; demos that are there are reused

For every seed (each with an SFT model, pairs and prompts of its own) all of this must hold:

    half the gap   the best arm of EACH road closes at least half of the gold gap between SFT and
                   best of 16
    beats SFT      the middle arm of each road (by β, by KL coefficient) is above SFT in gold
                   reward, the interval of the difference leaving 0 out
    reward model   its held-out accuracy, expected over the label noise, is at least
                   0.5 + 0.9·(ceiling − 0.5), and above what "longest wins" reaches

Prints a table and exits with 1 where something does not hold.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEEDS = (0, 1, 2, 3, 4)
ROADS = {"dpo": "beta", "rlhf": "kl_coef"}
SHARE_OF_GAP = 0.5
SHARE_OF_CEILING = 0.9


@dataclass(frozen=True)
class Check:
    """One promise for one seed: what was found, beside what was asked for."""

    name: str
    found: str
    kept: bool


def checks(results: Mapping[str, Any]) -> list[Check]:
    """All promises for the results.json of one demo."""
    found = []
    for road, setting in ROADS.items():
        found.append(_half_the_gap(results, road))
        found.append(_beats_sft(results, road, setting))
    return [*found, *_reward_model(results["reward_model"])]


def _half_the_gap(results: Mapping[str, Any], road: str) -> Check:
    gold = {name: arm["gold_reward"]["value"] for name, arm in results["arms"].items()}
    top = next(n for n, arm in results["arms"].items() if arm["kind"] == "best_of_n")
    best = max(_arms(results, road), key=lambda name: gold[name])
    share = (gold[best] - gold["sft"]) / (gold[top] - gold["sft"])
    return Check(f"{road}: half the gap", f"{share:.2f} ({best})", share >= SHARE_OF_GAP)


def _beats_sft(results: Mapping[str, Any], road: str, setting: str) -> Check:
    arms = _arms(results, road)
    order = sorted(arms, key=lambda name: arms[name]["settings"][setting])
    middle = order[len(order) // 2]
    contest = next(c for c in results["head_to_head"] if (c["a"], c["b"]) == (middle, "sft"))
    gain = contest["difference"]
    words = f"{gain['value']:+.2f} [{gain['low']:.2f}, {gain['high']:.2f}] ({middle})"
    return Check(f"{road}: beats SFT", words, gain["low"] > 0)


def _reward_model(card: Mapping[str, Any]) -> list[Check]:
    accuracy, longest = card["expected_accuracy"], card["longest_wins"]["value"]
    asked = 0.5 + SHARE_OF_CEILING * (card["ceiling"] - 0.5)
    return [
        Check("reward model: ceiling", f"{accuracy:.3f} of {asked:.3f} asked", accuracy >= asked),
        Check("reward model: length", f"{accuracy:.3f} > {longest:.3f}", accuracy > longest),
    ]


def _arms(results: Mapping[str, Any], road: str) -> dict[str, Any]:
    return {name: arm for name, arm in results["arms"].items() if arm["road"] == road}


def run_one(seed: int, folder: Path, *, fast: bool) -> dict[str, float]:
    """One demo in a process of its own, so that its peak memory is its own."""
    program = (
        "import resource, sys, time; from palate.experiments.demo import run_demo; "
        "started = time.perf_counter(); "
        f"run_demo(output_dir=sys.argv[1], seed={seed}, fast={fast}, overwrite=True); "
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024; "
        "print(time.perf_counter() - started, peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    wall, peak = map(float, done.stdout.split()[-2:])
    bill = {"wall_s": wall, "peak_rss_bytes": peak}
    (folder / "bill.json").write_text(json.dumps(bill), encoding="utf-8")
    return bill


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", type=int, nargs="*", default=list(SEEDS))
    here = Path(__file__).resolve().parent
    parser.add_argument("--output-dir", type=Path, default=here / "runs" / "demo-seeds")
    parser.add_argument("--fast", action="store_true", help="the small demo, for a look")
    parser.add_argument("--keep", action="store_true", help="reuse demos that are there")
    options = parser.parse_args()
    by_seed: dict[int, list[Check]] = {}
    bills = {}
    for seed in options.seeds:
        folder = options.output_dir / f"seed-{seed}"
        done = options.keep and (folder / "results.json").exists()
        if done and (folder / "bill.json").exists():
            bills[seed] = json.loads((folder / "bill.json").read_text(encoding="utf-8"))
        elif not done:
            folder.mkdir(parents=True, exist_ok=True)
            print(f"seed {seed} … {time.strftime('%H:%M')}", file=sys.stderr)
            bills[seed] = run_one(seed, folder, fast=options.fast)
        text = (folder / "results.json").read_text(encoding="utf-8")
        by_seed[seed] = checks(json.loads(text))
    print_table(by_seed, bills)
    broken = [
        f"seed {seed}, {one.name}: {one.found}"
        for seed, some in by_seed.items()
        for one in some
        if not one.kept
    ]
    print(f"\n{len(broken)} promises broken" if broken else "\nevery promise kept on every seed")
    for sentence in broken:
        print(f"- {sentence}")
    return 1 if broken else 0


def print_table(
    by_seed: Mapping[int, list[Check]], bills: Mapping[int, Mapping[str, float]]
) -> None:
    """Promises down, seeds across."""
    print("| promise | " + " | ".join(f"seed {seed}" for seed in by_seed) + " |")
    print("| --- |" + " --- |" * len(by_seed))
    for row in zip(*by_seed.values(), strict=True):
        cells = " | ".join(f"{one.found}{'' if one.kept else ' **no**'}" for one in row)
        print(f"| {row[0].name} | {cells} |")
    for name, key, unit in (
        ("wall time, s", "wall_s", 1.0),
        ("peak RSS, GB", "peak_rss_bytes", 1e9),
    ):
        cells = " | ".join(
            f"{bills[seed][key] / unit:.1f}" if seed in bills else "—" for seed in by_seed
        )
        print(f"| {name} | {cells} |")


if __name__ == "__main__":
    sys.exit(main())
