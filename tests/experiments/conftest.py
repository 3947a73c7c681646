"""A comparison with invented numbers, and texts that try to be more than text."""

import random
from collections.abc import Callable
from typing import Any

import pytest

SENTENCES = (
    "Your order shipped on Tuesday and arrives by Friday.",
    "The refund window is thirty days.",
    "The store opens at nine.",
    "No, the warranty lasts two years, not three.",
)


def estimate(value: float, half: float, unit: str, n: int = 240) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": n, "unit": unit}


def arm(
    *,
    kind: str,
    road: str,
    label: str,
    gold: float,
    kl: float,
    chosen: bool = False,
    wall: float = 60.0,
) -> dict[str, Any]:
    is_sft, is_rlhf = road == "sft", road == "rlhf"
    win_rate = min(0.95, 0.5 + 0.4 * (gold - 0.18))
    return {
        "kind": kind,
        "road": road,
        "label": label,
        "settings": {"learning_rate": 1e-4},
        "chosen": chosen,
        "per_seed": [
            {
                "seed": seed,
                "gold_reward": gold + 0.02 * (seed - 1),
                "proxy_reward": gold * 1.3,
                "kl": kl * (1 + 0.06 * (seed - 1)),
                "length": 24.0 + seed,
                "eos_rate": 0.98,
            }
            for seed in range(3)
        ],
        "gold_reward": estimate(gold, 0.061, "gold reward"),
        "proxy_reward": None if road == "yardstick" else estimate(gold * 1.3, 0.08, "nats"),
        "kl": None if is_sft else estimate(kl, 0.08 * kl, "nats per response"),
        "kl_k1": None if is_sft else estimate(kl * 1.02, 0.2 * kl, "nats per response"),
        "kl_k3": None if is_sft else estimate(kl * 0.98, 0.1 * kl, "nats per response"),
        "win_rate_vs_sft": None if is_sft else estimate(win_rate, 0.042, "win rate"),
        "length": estimate(23.4 + 6 * gold, 1.2, "tokens"),
        "eos_rate": estimate(0.978, 0.012, "rate"),
        "cost": {
            "wall_s": wall,
            "flops": {
                "train": 3.1e11 * wall,
                "score": 0.9e11 * wall,
                "sample": 2.2e11 * wall if is_rlhf else 0.0,
            },
            "tokens_trained": int(21_000 * wall),
            "tokens_sampled": int(4_100 * wall) if is_rlhf else 0,
            "peak_rss_bytes": int(8.1e8 + 2e6 * wall),
            "weights_resident_bytes": int(4.8e6 * (4 if is_rlhf else 2)),
            "models_resident": 4 if is_rlhf else 2,
            "amortized": {
                "wall_s": wall * 0.8,
                "flops": {"train": 2e11 * wall, "sample": 3e11 * wall},
            }
            if is_rlhf
            else None,
        },
    }


def build_results(*, num_samples: int = 3) -> dict[str, Any]:
    """A comparison as `compare` writes it, with invented numbers."""
    arms = {
        "sft": arm(kind="sft", road="sft", label="SFT", gold=0.18, kl=0.0, wall=41.0),
        "dpo-0.5": arm(kind="dpo", road="dpo", label="DPO β = 0.5", gold=0.49, kl=1.1),
        "dpo-0.1": arm(kind="dpo", road="dpo", label="DPO β = 0.1", gold=0.83, kl=5.2, chosen=True),
        "dpo-0.03": arm(kind="dpo", road="dpo", label="DPO β = 0.03", gold=0.79, kl=13.9),
        "ppo-0.2": arm(kind="ppo", road="rlhf", label="PPO β = 0.2", gold=0.62, kl=1.6, wall=205),
        "ppo-0.05": arm(
            kind="ppo", road="rlhf", label="PPO β = 0.05", gold=0.98, kl=6.3, chosen=True, wall=214
        ),
        "ppo-0.01": arm(
            kind="ppo", road="rlhf", label="PPO β = 0.01", gold=0.71, kl=18.4, wall=221
        ),
        "best-of-4": arm(kind="best_of_n", road="yardstick", label="best of 4", gold=0.55, kl=0.64),
        "best-of-16": arm(
            kind="best_of_n", road="yardstick", label="best of 16", gold=0.81, kl=1.83
        ),
    }
    draw = random.Random(7)

    def reply(gold: float) -> dict[str, Any]:
        return {
            "text": " ".join(draw.choices(SENTENCES, k=3)),
            "gold": round(gold + draw.gauss(0, 0.5), 3),
            "proxy": round(1.3 * gold + draw.gauss(0, 0.5), 3),
            "stopped": draw.random() < 0.95,
        }

    return {
        "schema": 1,
        "title": "DPO against RLHF in the embedded world",
        "arms": arms,
        "head_to_head": [
            {
                "a": "ppo-0.05",
                "b": "dpo-0.1",
                "win_rate": estimate(0.571, 0.041, "win rate"),
                "difference": estimate(0.152, 0.064, "gold reward"),
                "p_value": 0.0021,
                "minimum_detectable_effect": 0.0586,
            },
            {
                "a": "dpo-0.1",
                "b": "sft",
                "win_rate": estimate(0.749, 0.047, "win rate"),
                "difference": estimate(0.65, 0.07, "gold reward"),
                "p_value": 3e-9,
                "minimum_detectable_effect": 0.0672,
            },
        ],
        "matched": {"kl": 5.0, "difference": estimate(0.094, 0.061, "gold reward")},
        "matched_reason": "",
        "verdict": {
            "choice": "rlhf",
            "confidence": "95 %",
            "sentence": "On this task RLHF pays: its gold reward is 0.15 higher than DPO's, "
            "for 3.6 times the compute time.",
            "because": [
                "PPO β = 0.05 wins 57.1 % of the prompts against DPO β = 0.1 "
                "(53.0 to 61.2 %, n = 240).",
                "At a matched KL of 5.0 nats RLHF is still ahead by 0.09 (0.03 to 0.16).",
                "The reward model reaches 78.4 % of held-out pairs, near the ceiling of 82.0 % "
                "that the label noise permits.",
            ],
        },
        "seeds": [0, 1, 2],
        "environment": {
            "palate": "0.1.0",
            "torch": "2.10.0",
            "threads": 2,
            "processor": "x86_64, 2 cores",
            "packages": {"transformers": "5.3.0", "peft": "0.19.0"},
        },
        "num_prompts": 480,
        "num_judged": 240,
        "unit_gold": "gold reward",
        "reward_model": {
            "accuracy": estimate(0.784, 0.021, "accuracy", n=600),
            "ceiling": 0.82,
            "longest_wins": estimate(0.561, 0.031, "accuracy", n=600),
            "bag_of_words": estimate(0.688, 0.028, "accuracy", n=600),
            "calibration_error": 0.034,
        },
        "pipeline": [
            stage("shared", "sft", "SFT", wall_s=41.2, tokens_sampled=0, models=1),
            stage("rlhf", "reward", "Reward model", wall_s=38.7, tokens_sampled=0, models=1),
            stage("rlhf", "ppo", "PPO", wall_s=176.0, tokens_sampled=877_000, models=4),
            stage("dpo", "dpo", "DPO", wall_s=59.5, tokens_sampled=0, models=2),
        ],
        "curves": {},
        "over_optimization": {
            "arm": "ppo-0.01",
            "points": [
                {"step": 20 * i, "gold": gold, "proxy": proxy, "kl": kl}
                for i, (gold, proxy, kl) in enumerate(
                    [
                        (0.18, 0.24, 0.0),
                        (0.41, 0.60, 0.7),
                        (0.66, 0.98, 2.1),
                        (0.87, 1.31, 4.0),
                        (0.94, 1.58, 6.8),
                        (0.90, 1.77, 9.9),
                        (0.81, 1.93, 13.6),
                        (0.71, 2.04, 18.4),
                    ]
                )
            ],
            "sentence": "PPO β = 0.01 goes past the best point: from KL 6.8 on the proxy rises by "
            "0.46 while gold falls by 0.23.",
        },
        "samples": [
            {
                "prompt": f"Customer {i}: I was told the warranty lasts three years, right?\n"
                "\tOrder 7713, bought in May.",
                "responses": {
                    name: reply(arms[name]["gold_reward"]["value"])
                    for name in ("sft", "dpo-0.1", "ppo-0.05")
                },
            }
            for i in range(num_samples)
        ],
    }


def stage(
    road: str, name: str, label: str, *, wall_s: float, tokens_sampled: int, models: int
) -> dict[str, Any]:
    return {
        "road": road,
        "stage": name,
        "label": label,
        "wall_s": wall_s,
        "flops": 4.1e11 * wall_s,
        "tokens_trained": int(21_000 * wall_s),
        "tokens_sampled": tokens_sampled,
        "peak_rss_bytes": int(8.2e8 + 1.1e6 * wall_s),
        "weights_resident_bytes": 4_800_000 * models,
        "models_resident": models,
    }


PAYLOADS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)><a href='javascript:alert(1)'>x</a>",
    "' onmouseover='alert(1)' x='",
    "</title></style><iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "{{ 7 * 7 }}{% raw %}$\\frac{1}{2}$ url(#x) ]]> <!-- \x00\x1b]52;c;AAAA\x07 \ud800 \ufffe",
)


@pytest.fixture(scope="session")
def example_results() -> Callable[..., dict[str, Any]]:
    """Builds results.json's content afresh, so that a test may change it; num_samples=3."""
    return build_results


@pytest.fixture(scope="session")
def payloads() -> tuple[str, ...]:
    """Scripts, handlers, templates, terminal codes and characters that no file can hold."""
    return PAYLOADS
