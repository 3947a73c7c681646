"""The main job on the embedded world: one SFT model, one set of pairs, two roads, one verdict.

base → SFT ─┬─ pairs ─┬─ DPO at three β ───────────────┐
            │         └─ reward model ─ PPO at three KL ┤→ compare on held-out prompts
            └───────────────────────────────────────────┘
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from palate.data.records import Preference, Prompt
from palate.data.render import Renderer
from palate.errors import UsageError
from palate.experiments.arms import Arm, Decoding, Measured, arm_roles, best_of_n, draw
from palate.experiments.compare import MEASURED, measure_arms, write_results
from palate.experiments.comparison import Comparison
from palate.experiments.cost import Cost
from palate.experiments.embedded import (
    FAST,
    FULL,
    Sizes,
    draw_world_pairs,
    gold_function,
    train_world_sft,
    world_settings,
)
from palate.experiments.results import results_of
from palate.experiments.reward_gate import GateRule
from palate.experiments.reward_quality import reward_card
from palate.experiments.run import Outcome, fill_reference, run_dpo, run_ppo, run_reward
from palate.experiments.world import MAX_RESPONSE_TOKENS, world_prompts
from palate.measures.frontier import over_optimized
from palate.models.load import load
from palate.models.protocols import FunctionReward
from palate.models.reference import ReferenceCache
from palate.training.progress import progress
from palate.training.settings import DPOSettings, PPOSettings, RewardSettings

BETAS = (0.05, 0.2, 0.8)
KL_COEFS = (0.4, 0.1, 0.005)
BEST_OF = 16
# Held-out pairs that the gate looks at: every probe scores them once more.
GATE_PAIRS = 300
OWN_RUNS = re.compile(r"sft|measured|(dpo-beta-[0-9.]+|ppo-kl-[0-9.]+|reward)-seed-[0-9]+")


@dataclass(frozen=True)
class Trained:
    """What one training seed gave."""

    dpo: dict[float, Outcome]
    reward: Outcome
    ppo: dict[float, Outcome]


def run_demo(
    *,
    output_dir: str,
    seed: int = 0,
    seeds: int = 1,
    fast: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train both roads and compare them; writes results.json and report.html.

    Args:
        output_dir: folder of everything.
        seed: of the SFT model, the pairs and the first training seed.
        seeds: training seeds of both roads (seed, seed + 1, …) on the same start and pairs; from
            three on the verdict speaks of the roads, not of these models.
        fast: a small run, for a look.
        overwrite: replace a demo that is there.

    Returns:
        The contents of results.json.
    """
    asked = {"seed": seed, "seeds": seeds, "fast": fast}
    folder = _fresh(Path(output_dir), overwrite=overwrite, asked=asked)
    sizes = FAST if fast else FULL
    sft = train_world_sft(folder / "sft", seed=seed, sizes=sizes)
    pairs = _pairs(sft.model_dir, sizes, seed)
    train, held_out = pairs[: sizes.pairs], pairs[sizes.pairs :]
    numbers = list(range(seed, seed + seeds))
    reference = _Reference.of(sft.model_dir, train, held_out, sizes)
    trained = {
        n: _train(folder, sft.model_dir, train, held_out, sizes, n, reference) for n in numbers
    }
    prompts = world_prompts(sizes.prompts, seed=seed, split="heldout")
    decoding = Decoding(num_samples=2, max_new_tokens=MAX_RESPONSE_TOKENS)
    arms = _arms(sft, trained)
    measured = measure_arms(
        arms, sft.model_dir, prompts, decoding, gold=gold_function, keep=folder / MEASURED
    )
    yardstick, sampled = _best_of_n(sft.model_dir, trained, prompts, decoding)
    arms.append(yardstick)
    measured[yardstick.name] = sampled
    results = results_of(Comparison(arms, prompts, measured), title="House style: DPO and RLHF")
    first = trained[seed]
    results["reward_model"] = reward_card(sft.model_dir, first.reward.model_dir, held_out)
    results["pipeline"] = _pipeline(sft, first)
    results["curves"] = {f"ppo-kl-{c:g}": curve(o) for c, o in first.ppo.items()}
    results["over_optimization"] = find_over_optimization(results["curves"])
    write_results(results, folder)
    return results


def _fresh(folder: Path, *, overwrite: bool, asked: Mapping[str, Any]) -> Path:
    """Make the folder ready and put demo.json into it, which says that its runs are a demo's.

    A demo that was killed has demo.json and no results; its runs are replaced without asking.

    Raises:
        UsageError: it holds a demo, or runs of somebody else, or cannot be written.
    """
    mark, is_done = folder / "demo.json", (folder / "results.json").exists()
    is_killed = mark.exists() and not is_done
    if (is_done or (folder / "sft").exists()) and not (overwrite or is_killed):
        raise UsageError(
            f"{folder}: holds a demo already; choose another --output-dir, or replace it with "
            "--overwrite"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("results.json", "report.html"):
            (folder / name).unlink(missing_ok=True)
        for path in folder.iterdir():
            if path.is_dir() and OWN_RUNS.fullmatch(path.name):
                shutil.rmtree(path)
        mark.write_text(json.dumps(asked), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written ({error.strerror}); choose another --output-dir"
        ) from error
    return folder


def _pairs(sft: Path, sizes: Sizes, seed: int) -> list[Preference]:
    wanted = sizes.pairs + sizes.eval_pairs
    with progress("pairs", wanted) as advance:
        return draw_world_pairs(
            load(sft), num_pairs=wanted, seed=seed, advance=lambda count: advance(count, "")
        )


@dataclass(frozen=True)
class _Reference:
    """The SFT model's log-probabilities of all pairs, computed once for every DPO run."""

    cache: ReferenceCache
    cost: Cost

    @classmethod
    def of(
        cls, sft: Path, pairs: Sequence[Preference], held_out: Sequence[Preference], sizes: Sizes
    ) -> "_Reference":
        settings = world_settings("dpo", sizes)
        assert isinstance(settings, DPOSettings)
        cache = ReferenceCache()
        cost = fill_reference(cache, settings, load(sft), pairs, eval_pairs=held_out)
        return cls(cache, cost)


def _train(
    folder: Path,
    sft: Path,
    train: Sequence[Preference],
    held_out: Sequence[Preference],
    sizes: Sizes,
    seed: int,
    reference: _Reference,
) -> Trained:
    """Both roads from the same start with one training seed."""

    def place(name: str) -> str:
        return str(folder / f"{name}-seed-{seed}")

    dpo = {}
    for beta in BETAS:
        settings = world_settings("dpo", sizes)
        assert isinstance(settings, DPOSettings)
        settings = replace(settings, beta=beta, seed=seed, output_dir=place(f"dpo-beta-{beta:g}"))
        dpo[beta] = run_dpo(
            settings, load(sft), train, eval_pairs=held_out,
            cache=reference.cache, cache_cost=reference.cost,
        )  # fmt: skip
    reward_settings = world_settings("reward", sizes)
    assert isinstance(reward_settings, RewardSettings)
    reward_settings = replace(reward_settings, seed=seed, output_dir=place("reward"))
    reward = run_reward(reward_settings, load(sft), train, eval_pairs=held_out)
    ppo: dict[float, Outcome] = {}
    for kl_coef in KL_COEFS:
        ppo[kl_coef] = train_world_ppo(
            sft, reward.model_dir, sizes, kl_coef=kl_coef, seed=seed,
            output_dir=place(f"ppo-kl-{kl_coef:g}"), held_out=() if ppo else held_out,
        )  # fmt: skip
    return Trained(dpo, reward, ppo)


def train_world_ppo(
    sft: Path,
    reward: Path,
    sizes: Sizes,
    *,
    kl_coef: float,
    seed: int,
    output_dir: str,
    held_out: Sequence[Preference] = (),
) -> Outcome:
    """PPO on the world's training prompts, its gold reward watched beside the proxy.

    A reward model that fails its gate on the held-out pairs is told of and used: the comparison
    shows what comes of it. Without pairs nobody looks.
    """
    settings = world_settings("ppo", sizes)
    assert isinstance(settings, PPOSettings)
    settings = replace(settings, kl_coef=kl_coef, seed=seed, output_dir=output_dir)
    loaded = load(sft)
    gold = FunctionReward(gold_function, Renderer(loaded.tokenizer).decode)
    prompts = world_prompts(2000, seed=seed + 2000)
    watched = world_prompts(64, seed=seed + 3000, split="heldout")
    gate = GateRule("warn", lambda: held_out[:GATE_PAIRS]) if held_out else GateRule("off")
    return run_ppo(
        settings, loaded, prompts, reward=reward, gold=gold, gate=gate, eval_prompts=watched
    )


def _arms(sft: Outcome, trained: Mapping[int, Trained]) -> list[Arm]:
    """SFT and both roads, each with its models by seed and its bill."""
    first = next(iter(trained.values()))
    rewards = {seed: one.reward.model_dir for seed, one in trained.items()}
    arms = [Arm("sft", "sft", "sft", "SFT", dict.fromkeys(trained), rewards, cost=sft.cost)]
    for beta in first.dpo:
        arms.append(
            Arm(
                f"dpo-beta-{beta:g}",
                "dpo",
                "dpo",
                f"DPO β = {beta:g}",
                {seed: one.dpo[beta].model_dir for seed, one in trained.items()},
                rewards,
                {"beta": beta},
                first.dpo[beta].cost,
            )  # fmt: skip
        )
    share = first.reward.cost.shared_by(len(first.ppo))
    for kl_coef, outcome in first.ppo.items():
        arms.append(
            Arm(
                f"ppo-kl-{kl_coef:g}",
                "ppo",
                "rlhf",
                f"PPO KL {kl_coef:g}",
                {seed: one.ppo[kl_coef].model_dir for seed, one in trained.items()},
                rewards,
                {"kl_coef": kl_coef},
                first.reward.cost.plus(outcome.cost),
                share.plus(outcome.cost),
            )  # fmt: skip
        )
    return arms


def _best_of_n(
    sft: Path, trained: Mapping[int, Trained], prompts: Sequence[Prompt], decoding: Decoding
) -> tuple[Arm, dict[int, Measured]]:
    """The yardstick: the best of 16 SFT samples by gold reward, what selection alone could give."""
    seed = next(iter(trained))
    roles = arm_roles(sft, None, None)
    renderer = Renderer(roles.tokenizer)
    asked = [renderer.prompt(prompt) for prompt in prompts]
    name = f"best-of-{BEST_OF}"
    with progress(name, len(prompts)) as advance:
        drawn = draw(
            roles, asked, replace(decoding, num_samples=BEST_OF), renderer.end_token_ids,
            lambda count: advance(count, ""),
        )  # fmt: skip
    best = best_of_n(drawn, prompts, renderer, gold=gold_function)
    arm = Arm(
        name, "best_of_n", "yardstick", f"best of {BEST_OF} by gold", {seed: None},
        settings={"n": BEST_OF, "kl": "upper bound, log n - (n - 1) / n"},
    )  # fmt: skip
    return arm, {seed: best}


def _pipeline(sft: Outcome, first: Trained) -> list[dict[str, Any]]:
    """The stages of both roads with their bills, for the picture."""
    middle_beta = sorted(first.dpo)[len(first.dpo) // 2]
    middle_kl = sorted(first.ppo)[len(first.ppo) // 2]
    stages = [
        ("shared", "sft", "SFT", sft),
        ("dpo", "dpo", f"DPO β = {middle_beta:g}", first.dpo[middle_beta]),
        ("rlhf", "reward", "reward model", first.reward),
        ("rlhf", "ppo", f"PPO KL {middle_kl:g}", first.ppo[middle_kl]),
    ]
    return [
        {"road": road, "stage": stage, "label": label}
        | {k: v for k, v in asdict(outcome.cost).items() if k != "flops"}
        | {"flops": outcome.cost.total_flops}
        for road, stage, label, outcome in stages
    ]


def curve(outcome: Outcome) -> list[dict[str, Any]]:
    """Evaluations of a PPO run: proxy, gold and KL by step.

    KL is the estimate k1: far from the reference k3 hangs on a few samples.
    """
    return [
        {
            "step": int(row["step"]),
            "gold": row.get("eval_objective/gold"),
            "proxy": row["eval_objective/scores"],
            "kl": row["eval_objective/kl"],
        }
        for row in outcome.result.history
        if "eval_objective/scores" in row
    ]


def find_over_optimization(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Any:
    """The arm whose proxy went on rising while gold fell, or None."""
    worst: dict[str, Any] | None = None
    for name, points in curves.items():
        if len(points) < 3 or any(p["gold"] is None for p in points):
            continue
        gold, proxy = [p["gold"] for p in points], [p["proxy"] for p in points]
        found = over_optimized(proxy=proxy, gold=gold, kl=[p["kl"] for p in points], min_drop=0.15)
        if found and (worst is None or found.gold_drop > worst["drop"]):
            worst = {
                "arm": name,
                "points": list(points),
                "drop": found.gold_drop,
                "sentence": (
                    f"beyond {found.peak_kl:.1f} nats the proxy rose by {found.proxy_rise:.2f} "
                    f"while gold fell by {found.gold_drop:.2f}: over-optimization"
                ),
            }
    return worst
