"""What the speed benchmark times: its rows, their data, and the limit that no engine can pass.

TRL's side imports this file in an environment of its own, so nothing at the top needs Palate.
"""

import json
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

BATCH = 8
RANK = 16
SEED = 0
BETA = 0.1
LEARNING_RATE = 1e-4
# A square product of this size runs at the processor's peak.
GEMM_SIZE = 2048


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        stage: what is trained.
        lengths: which rows it is trained on, "hh" or (prompt, response) tokens of each row.
        pairs: rows of an epoch.
        lora: adapters on all linear layers; else all weights.
        bf16: frozen weights and products in bfloat16.
        epochs: passes; above 1 the reference is kept, in TRL by its own setting.
        packing: TRL packs rows (SFT).
        floor: times TRL's rows/s that are the least.
        goal: times TRL's rows/s that are aimed at.
    """

    stage: Literal["dpo", "reward", "sft"] = "dpo"
    lengths: Literal["hh"] | tuple[int, int] = "hh"
    pairs: int = 64
    lora: bool = True
    bf16: bool = False
    epochs: int = 1
    packing: bool = False
    floor: float = 1.0
    goal: float = 1.0


CASES = {
    "dpo": Case(floor=6.5, goal=9),
    "dpo-bf16": Case(bf16=True, pairs=32, floor=6.5, goal=11),
    "dpo-3-epochs": Case(epochs=3, pairs=24, floor=8, goal=14),
    "dpo-long-prompts": Case(lengths=(800, 60), pairs=24, floor=8, goal=12),
    "dpo-long-responses": Case(lengths=(50, 400), pairs=24, floor=2.5, goal=4),
    "dpo-full": Case(lora=False, pairs=32, floor=5, goal=8),
    "reward": Case(stage="reward", pairs=32, floor=5, goal=9),
    "sft": Case(stage="sft", lora=False, floor=3, goal=5),
    "sft-packing": Case(stage="sft", lora=False, packing=True, floor=1.2, goal=1.5),
}


class Clock:
    """Seconds of each step, on the wall and of this process's CPU; the first step never counts.

    With one thread the CPU's seconds say on a busy machine what the wall's say on a quiet one.
    """

    def __init__(self) -> None:
        self.times = [now()]

    def tick(self) -> None:
        self.times.append(now())

    def since_first_step(self) -> tuple[float, float]:
        """From the end of the first step, with its warming up, to the end of the last."""
        return since(self.times[1], self.times[-1])


def now() -> tuple[float, float]:
    """(wall, CPU) seconds."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """(wall, CPU) seconds between two times."""
    return end[0] - start[0], end[1] - start[1]


def gemm_rate(dtype: torch.dtype) -> tuple[float, float]:
    """FLOP/s of a large square product here and now, by the wall and by the CPU's time."""
    a, b = (torch.randn(GEMM_SIZE, GEMM_SIZE).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(5):
        started = now()
        a @ b
        seconds.append(since(started, now()))
    wall, cpu = (statistics.median(some) for some in zip(*seconds, strict=True))
    return 2 * GEMM_SIZE**3 / wall, 2 * GEMM_SIZE**3 / cpu


def peak_rss() -> int:
    """Bytes of this process at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def texts(folder: Path, case: Case) -> list[dict[str, str]]:
    """The case's rows: prompt, chosen, rejected."""
    name = "hh" if case.lengths == "hh" else "{}-{}".format(*case.lengths)
    rows: list[dict[str, str]] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return rows[: case.pairs]


def necessary_flops(
    case: Case, shape: dict[str, int], lengths: Sequence[Sequence[int]], *, epochs: float
) -> float:
    """FLOPs that training on these rows cannot do without (the limit's numerator).

    With Nb block parameters in products, Nv = vocabulary × width, La = layers × heads × head width,
    T rows through the blocks, U through the head and K query–key pairs:
    2·Nb·T·(1 + b) + 2·Nv·U·(1 + b) + 4·La·K·3, where b = 2 if all weights are trained, else 1,
    and one forward more for a reference that is computed once.

    Args:
        case: says what is trained.
        shape: Nb, Nv and La as "blocks", "head" and "attention".
        lengths: prompt and response tokens of each row.
        epochs: passes over the rows that were timed.
    """
    backward = 1 if case.lora else 2
    reference = 1 / case.epochs if case.stage == "dpo" else 0.0
    rows = sum(sum(row) for row in lengths)
    predicted = 0 if case.stage == "reward" else sum(sum(row[1:]) for row in lengths)
    looked_at = sum(row[0] ** 2 / 2 + sum(c * (row[0] + c / 2) for c in row[1:]) for row in lengths)
    products = 2 * (shape["blocks"] * rows + shape["head"] * predicted)
    return epochs * (
        products * (1 + backward + reference) + 4 * shape["attention"] * looked_at * (3 + reference)
    )


def write_case(folder: Path) -> None:
    """Write the 34 M-parameter model and the rows of every length, where they are not there."""
    if (folder / "ready").exists():
        return
    from hh_34m import DATA, Shape, train_tokenizer, write_random_model

    from palate.data.hh import format_dialogue
    from palate.data.sources import read_preferences

    pairs = read_preferences(DATA / "hh" / "harmless-base-test.jsonl.gz", skip_bad=True).records
    tokenizer = train_tokenizer(pairs, Shape.vocab)
    write_random_model(folder / "model", tokenizer, Shape(), seed=SEED)
    rows = [
        {
            "prompt": format_dialogue(p.prompt) + "\n\nAssistant:",
            "chosen": f" {p.chosen}",
            "rejected": f" {p.rejected}",
        }
        for p in pairs
        if not isinstance(p.prompt, str)
    ]
    count = max(case.pairs for case in CASES.values())
    _write(folder / "hh.json", rows[:count])
    # Longer rows are cut from one long text, which holds no two equal stretches.
    text = tokenizer(" ".join(r["prompt"] + r["chosen"] for r in rows))["input_ids"]
    for prompt, response in {c.lengths for c in CASES.values() if c.lengths != "hh"}:
        pieces, start = [], 0
        for _ in range(count):
            row: dict[str, Any] = {}
            for name, size in (("prompt", prompt), ("chosen", response), ("rejected", response)):
                row[name] = tokenizer.decode(text[start : start + size])
                start = (start + size) % (len(text) - prompt)
            pieces.append(row)
        _write(folder / f"{prompt}-{response}.json", pieces)
    (folder / "ready").touch()


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")
