"""TRL's side of one row of the speed benchmark: its own environment, one process, one measurement.

.venv-trl/bin/python speed_trl_side.py CASE_FOLDER ROW OUT.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
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
    now,
    peak_rss,
    since,
    texts,
)
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PrinterCallback,
    TrainerCallback,
)
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer


class Ticking(TrainerCallback):
    """Ticks a clock after every step."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.clock.tick()


def trainer(folder: Path, case: Case, rows: list[dict[str, str]], clock: Clock) -> Any:
    """TRL's trainer with the row's settings, all else as TRL has it."""
    common: dict[str, Any] = {
        "output_dir": str(folder / "trl"), "learning_rate": LEARNING_RATE, "seed": SEED,
        "lr_scheduler_type": "constant", "warmup_steps": 0, "bf16": case.bf16, "fp16": False,
        "use_cpu": True, "gradient_checkpointing": False, "num_train_epochs": case.epochs,
        "per_device_train_batch_size": BATCH, "save_strategy": "no", "report_to": "none",
        "disable_tqdm": True, "max_length": 1024,
    }  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    kind = AutoModelForCausalLM
    task = "CAUSAL_LM"
    if case.stage == "reward":
        kind, task = AutoModelForSequenceClassification, "SEQ_CLS"
    more = {"num_labels": 1} if case.stage == "reward" else {}
    model = kind.from_pretrained(folder / "model", dtype=torch.float32, **more)
    lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type=task)
    shared = {
        "model": model, "processing_class": tokenizer, "callbacks": [Ticking(clock)],
        "peft_config": lora if case.lora else None,
    }  # fmt: skip
    if case.stage == "sft":
        shown = [{"prompt": r["prompt"], "completion": r["chosen"]} for r in rows]
        args = SFTConfig(**common, packing=case.packing, completion_only_loss=True)
        return SFTTrainer(args=args, train_dataset=Dataset.from_list(shown), **shared)
    data = Dataset.from_list(rows)
    if case.stage == "reward":
        return RewardTrainer(args=RewardConfig(**common), train_dataset=data, **shared)
    args = DPOConfig(**common, beta=BETA, precompute_ref_log_probs=case.epochs > 1)
    return DPOTrainer(args=args, train_dataset=data, **shared)


def main() -> None:
    disable_progress_bars()
    folder, name, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    case, clock = CASES[name], Clock()
    rows = texts(folder, case)
    started = now()
    made = trainer(folder, case, rows, clock)
    made.remove_callback(PrinterCallback)
    # Reference log-probabilities are precomputed when the trainer is made, or with its loader.
    made.train()
    whole = since(started, now())
    if case.epochs > 1:
        # The precomputation lies before the first step: here all steps and it are counted.
        seconds, done = whole, len(rows) * case.epochs
    elif case.packing:
        share = (len(clock.times) - 2) / (len(clock.times) - 1)
        seconds, done = clock.since_first_step(), len(rows) * share
    else:
        seconds, done = clock.since_first_step(), (len(clock.times) - 2) * BATCH
    dtype = torch.bfloat16 if case.bf16 else torch.float32
    found = {
        "row": name, "side": "trl", "pairs": done, "seconds": seconds,
        "gemm": gemm_rate(dtype), "peak_rss": peak_rss(), "threads": torch.get_num_threads(),
    }  # fmt: skip
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
