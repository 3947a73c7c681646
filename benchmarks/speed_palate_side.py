"""Palate's side of one row of the speed benchmark: one process, one measurement.

python benchmarks/speed_palate_side.py CASE_FOLDER ROW OUT.json
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from speed_case import (
    BATCH,
    BETA,
    CASES,
    LEARNING_RATE,
    RANK,
    SEED,
    Case,
    Clock,
    gemm_rate,
    necessary_flops,
    now,
    peak_rss,
    since,
    texts,
)

from palate.data.grow import comparison_trees, demonstration_trees
from palate.data.records import Demonstration, Preference
from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.experiments.prepare import policy_roles, reward_roles
from palate.models.allocator import keep_freed_memory
from palate.models.load import load
from palate.models.meter import model_sizes
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.training.dpo import train_dpo
from palate.training.reward import train_reward
from palate.training.run import Run
from palate.training.settings import DPOSettings, RewardSettings, SFTSettings
from palate.training.sft import train_sft


class Ticking:
    """A listener that ticks a clock after every step."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step(self, step: int, num_steps: int) -> bool:
        self.clock.tick()
        return False

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None: ...


def train(folder: Path, case: Case, clock: Clock) -> tuple[Roles, list[Tree], tuple[float, float]]:
    """Roles and rows after training, and the seconds that the reference pass took."""
    common: dict[str, Any] = {
        "per_device_train_batch_size": BATCH, "learning_rate": LEARNING_RATE, "seed": SEED,
        "num_train_epochs": case.epochs, "lr_scheduler_type": "constant", "warmup_steps": 0,
        "use_peft": case.lora, "lora_r": RANK, "lora_alpha": 2 * RANK,
    }  # fmt: skip
    loaded = load(folder / "model", dtype=torch.bfloat16 if case.bf16 else torch.float32)
    renderer = Renderer(loaded.tokenizer)
    rows = texts(folder, case)
    pairs = [Preference(r["prompt"], r["chosen"], r["rejected"]) for r in rows]
    run = Run(listeners=[Ticking(clock)])
    if case.stage == "sft":
        shown = [Demonstration(p.prompt, p.chosen) for p in pairs]
        trees, _ = demonstration_trees(shown, renderer, max_length=1024)
        sft = SFTSettings(**common)
        roles = policy_roles(loaded, sft, with_reference=False)
        train_sft(roles, trees, sft, run=run)
        return roles, trees, (0.0, 0.0)
    trees, _ = comparison_trees(pairs, renderer, max_length=1024)
    if case.stage == "reward":
        reward = RewardSettings(**common, num_scale_samples=0)
        roles = reward_roles(loaded, reward)
        train_reward(roles, trees, reward, end_tokens=[2], run=run)
        return roles, trees, (0.0, 0.0)
    dpo = DPOSettings(**common, beta=BETA)
    roles = policy_roles(loaded, dpo, with_reference=True)
    cache = ReferenceCache(max_tokens=dpo.max_tokens_per_microbatch)
    started = now()
    cache.fill(roles, trees)
    seconds = since(started, now())
    train_dpo(roles, trees, dpo, cache=cache, run=run)
    return roles, trees, seconds


def main() -> None:
    folder, name, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    case, clock = CASES[name], Clock()
    keep_freed_memory()  # as every command of Palate does
    dtype = torch.bfloat16 if case.bf16 else torch.float32
    roles, trees, reference = train(folder, case, clock)
    peak = peak_rss()
    steps = len(clock.times) - 2
    done = steps * BATCH
    # The reference pass is spread over all rows of the run; the counted steps bear their share.
    part = done / (len(trees) * case.epochs)
    seconds = [a + b * part for a, b in zip(clock.since_first_step(), reference, strict=True)]
    lengths = [[len(t.prompt), *(len(r.tokens) for r in t.responses)] for t in trees]
    blocks, head, attention = model_sizes(roles.model)
    shape = {"blocks": blocks, "head": head, "attention": attention}
    flops = necessary_flops(case, shape, lengths, epochs=done / len(trees))
    found = {
        "row": name, "side": "palate", "pairs": done, "seconds": seconds, "flops": flops,
        "gemm": gemm_rate(dtype), "peak_rss": peak, "threads": torch.get_num_threads(),
    }  # fmt: skip
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
