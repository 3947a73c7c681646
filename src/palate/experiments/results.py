"""A comparison → the content of results.json, which console, report and live page show."""

from collections.abc import Mapping, Sequence
from typing import Any

from palate.experiments.arms import as_text
from palate.experiments.comparison import Comparison
from palate.experiments.verdict import Evidence, reach_verdict
from palate.measures.estimate import Estimate
from palate.measures.frontier import MatchedDifference
from palate.measures.multiple import holm
from palate.training.folder import environment


def results_of(comparison: Comparison, *, title: str) -> dict[str, Any]:
    """results.json, without what only the demo knows (reward model, curves, pipeline)."""
    picked = {road: comparison.chosen(road) for road in ("dpo", "rlhf")}
    names = [n for n, arm in comparison.arms.items() if arm.road != "yardstick"]
    contests = [(n, comparison.sft) for n in names if n != comparison.sft]
    dpo, rlhf = picked["dpo"], picked["rlhf"]
    if dpo and rlhf:
        contests.append((rlhf, dpo))
    matched = comparison.matched() if dpo and rlhf else None
    return {
        "schema": 1,
        "title": title,
        "arms": {name: _arm(comparison, name, picked) for name in comparison.arms},
        "head_to_head": _contests(comparison, contests),
        "strengths": comparison.strengths(),
        "matched": matched and {"kl": matched.kl, "difference": matched.difference.to_json()},
        "matched_reason": "" if matched else "one of the roads never left the SFT model",
        "verdict": _verdict(comparison, dpo, rlhf, matched) if dpo and rlhf else None,
        "seeds": comparison.seeds,
        "num_seeds": comparison.num_runs,
        "environment": environment(),
        "num_prompts": len(comparison.prompts),
        "num_judged": len(comparison.judge),
        "unit_gold": comparison.unit,
        "reward_model": None,
        "pipeline": [],
        "curves": {},
        "over_optimization": None,
        "samples": _shown(comparison, [n for n in (comparison.sft, dpo, rlhf) if n]),
    }


def _contests(comparison: Comparison, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Contests with their p-values adjusted for the number of them."""
    found = [comparison.head_to_head(a, b) for a, b in pairs]
    adjusted = holm([one["p_value"] for one in found])
    return [one | {"p_adjusted": p} for one, p in zip(found, adjusted, strict=True)]


def _arm(comparison: Comparison, name: str, picked: Mapping[str, str | None]) -> dict[str, Any]:
    arm = comparison.arms[name]

    def entry(quantity: str, unit: str) -> dict[str, Any] | None:
        found = comparison.estimate(name, quantity, unit)
        return found.to_json() if found is not None else None

    versus = None
    if name != comparison.sft:
        versus = comparison.head_to_head(name, comparison.sft)["win_rate"]
    return {
        "kind": arm.kind,
        "road": arm.road,
        "label": arm.label,
        "settings": dict(arm.settings),
        "chosen": picked.get(arm.road) == name,
        "per_seed": [
            _one_run(comparison, name, run, seed)
            for run, seed in enumerate(sorted(comparison.measured[name]))
        ],
        "gold_reward": entry("gold", "gold reward"),
        "proxy_reward": entry("proxy", "proxy reward"),
        "kl": entry("kl", "nats/response"),
        "kl_k1": entry("kl_k1", "nats/response"),
        "kl_k3": entry("kl_k3", "nats/response"),
        "win_rate_vs_sft": versus,
        "length": entry("length", "tokens"),
        "eos_rate": entry("stopped", "share"),
        "cost": arm.cost
        and arm.cost.to_json() | {"amortized": arm.amortized.to_json() if arm.amortized else None},
    }


def _one_run(comparison: Comparison, name: str, run: int, seed: int) -> dict[str, Any]:
    def mean(quantity: str) -> float | None:
        if not comparison.has(name, quantity):
            return None
        return float(comparison.per_prompt(name, quantity, run=run, rows=comparison.judge).mean())

    return {
        "seed": seed,
        "gold_reward": mean("gold"),
        "proxy_reward": mean("proxy"),
        "kl": mean("kl"),
        "length": mean("length"),
        "eos_rate": mean("stopped"),
    }


def _verdict(
    comparison: Comparison, dpo: str, rlhf: str, matched: MatchedDifference | None
) -> dict[str, Any]:
    difference = matched.difference if matched else comparison.difference(rlhf, dpo)
    direct = comparison.head_to_head(rlhf, dpo)["win_rate"]
    return reach_verdict(
        Evidence(
            difference=difference,
            matched_kl=matched.kl if matched else 0.0,
            gains={
                "dpo": comparison.difference(dpo, comparison.sft),
                "rlhf": comparison.difference(rlhf, comparison.sft),
            },
            win_rate=Estimate(**direct),
            times=_times(comparison, rlhf, dpo),
            num_prompts=len(comparison.judge),
            num_seeds=comparison.num_runs,
            trained_by={"ppo": "PPO"}.get(comparison.arms[rlhf].kind, "RLHF"),
        )
    )


def _times(comparison: Comparison, a: str, b: str) -> float | None:
    """Wall time of arm a over arm b's, where both were metered."""
    first, second = comparison.arms[a].cost, comparison.arms[b].cost
    if first is None or second is None or not second.wall_s:
        return None
    return first.wall_s / second.wall_s


def _shown(
    comparison: Comparison, names: Sequence[str], *, count: int = 12
) -> list[dict[str, Any]]:
    """Responses side by side, on the first judging prompts."""
    rows = []
    for row in comparison.judge[:count]:
        responses = {}
        for name in names:
            one = comparison.runs[name][0]
            responses[name] = {
                "text": one.texts[row][0],
                "gold": float(one.gold[row, 0]) if one.gold is not None else None,
                "proxy": float(one.proxy[row, 0]) if one.proxy is not None else None,
                "stopped": bool(one.stopped[row, 0]),
            }
        rows.append({"prompt": as_text(comparison.prompts[int(row)]), "responses": responses})
    return rows
