"""TRL's side of the witness: runs in its own environment and never sees Palate.

    .venv-trl/bin/python witness_trl_side.py CASE_FOLDER OUT.json

`CASE_FOLDER/palate.json` says in which order rows are trained on; the model and the adapter are
read from the folder, the pairs are made anew and tokenized by TRL.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from peft import PeftModel
from transformers import AutoModelForCausalLM, PrinterCallback
from trl import DPOConfig, DPOTrainer
from witness_case import BATCH, BETA, LEARNING_RATE, MAX_GRAD_NORM, STEPS, pairs, tokenizer


class Watched(DPOTrainer):
    """Keeps the loss of every step as it is computed; the log would round it."""

    losses: list[float]

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(*args, **kwargs)
        self.losses.append(float(loss.detach()))
        return loss


def trainer(
    folder: Path, rows: list[dict[str, str]], *, batch: int, explicit_base: bool
) -> Watched:
    """A trainer on the case's model and adapter, float32, in the order of the rows.

    With `explicit_base` the reference is the base; else TRL copies the adapter, as it does where
    a `PeftModel` comes without a reference.
    """

    def base() -> Any:
        return AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)

    model = PeftModel.from_pretrained(base(), str(folder / "adapter"), is_trainable=True)
    args = DPOConfig(
        output_dir=str(folder / "trl"), beta=BETA, learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant", warmup_steps=0, weight_decay=0.0, adam_beta1=0.9,
        adam_beta2=0.999, adam_epsilon=1e-8, optim="adamw_torch", max_grad_norm=MAX_GRAD_NORM,
        per_device_train_batch_size=batch, gradient_accumulation_steps=1, max_steps=STEPS,
        logging_steps=1, bf16=False, fp16=False, use_cpu=True, gradient_checkpointing=False,
        train_sampling_strategy="sequential", save_strategy="no", report_to="none",
        disable_tqdm=True, dataloader_num_workers=0,
    )  # fmt: skip
    made = Watched(
        model=model, ref_model=base() if explicit_base else None, args=args,
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer(),
    )  # fmt: skip
    made.losses = []
    made.remove_callback(PrinterCallback)
    return made


def main() -> None:
    disable_progress_bars()
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    order = json.loads((folder / "palate.json").read_text(encoding="utf-8"))["order"]
    rows = pairs()

    one = trainer(folder, rows, batch=1, explicit_base=True)
    tokens = [[r["prompt_ids"], r["chosen_ids"], r["rejected_ids"]] for r in one.train_dataset]
    one.model.eval()
    with torch.no_grad():
        for inputs in one.get_train_dataloader():
            one.compute_loss(one.model, inputs)
    metrics = one._metrics["eval"]

    run = trainer(folder, [rows[i] for i in order], batch=BATCH, explicit_base=False)
    started = time.perf_counter()
    run.train()
    seconds = time.perf_counter() - started
    names = ("trl", "transformers", "peft", "torch", "accelerate")
    found = {
        "versions": {name: version(name) for name in names},
        "tokens": tokens,
        "pairs": {
            "loss": one.losses,
            "margin": metrics["rewards/margins"],
            "logp_chosen": metrics["logps/chosen"],
            "logp_rejected": metrics["logps/rejected"],
        },
        "training": {
            "loss": run.losses,
            "margin": [r["rewards/margins"] for r in run.state.log_history if "loss" in r],
            "grad_norm": [r["grad_norm"] for r in run.state.log_history if "loss" in r],
        },
        "seconds": seconds,
    }
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
