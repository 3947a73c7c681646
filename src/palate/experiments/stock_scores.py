"""Rows scored by stock transformers and PEFT: a program that knows nothing of Palate.

It is run by path, in a process of its own, and imports nothing of this package. It reads one JSON
object from standard input and prints one:

    {"what": "merged" | "adapter" | "reward", "folder", "base", "rows": [{"prompt", "response"}]}
    {"scores", "texts", "modules", "versions"}

Prompts and responses are token ids. Scores are, for each row, the log-probabilities (nats) of the
response's tokens, or the classifier's logit. All rows of a classifier are one padded batch, since
padding is where classifiers go wrong.
"""

import json
import sys
from importlib.metadata import version
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.utils import logging

Rows = list[dict[str, list[int]]]


def main() -> None:
    """Read, score, print."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    order = json.load(sys.stdin)
    what, folder, rows = order["what"], order["folder"], order["rows"]
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        if what == "reward":
            model = _whole(AutoModelForSequenceClassification, folder)
            scores = _logits(model, tokenizer.pad_token_id, rows)
        else:
            model = _whole(AutoModelForCausalLM, order["base"] if what == "adapter" else folder)
            if what == "adapter":
                model = PeftModel.from_pretrained(model, folder).eval()
            scores = [_logprobs(model, row) for row in rows]
    texts = [tokenizer.decode([*row["prompt"], *row["response"]]) for row in rows]
    found = {
        "scores": scores,
        "texts": texts,
        "modules": sorted({name.partition(".")[0] for name in sys.modules}),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
    }
    print(json.dumps(found))


def _whole(kind: Any, name: str) -> Any:
    """A model in float32 on the CPU, each of whose weights was in its folder."""
    model, report = kind.from_pretrained(
        name, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    for fault in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if report[fault]:
            raise SystemExit(f"{name}: {fault.replace('_', ' ')}: {sorted(report[fault])[0]}")
    return model.eval()


def _logprobs(model: Any, row: dict[str, list[int]]) -> list[float]:
    prompt, response = row["prompt"], row["response"]
    logits = model(input_ids=torch.tensor([[*prompt, *response]]), use_cache=False).logits[0]
    predicting = logits[len(prompt) - 1 : -1].float().log_softmax(-1)
    found: list[float] = predicting.gather(1, torch.tensor(response)[:, None])[:, 0].tolist()
    return found


def _logits(model: Any, pad: int, rows: Rows) -> list[list[float]]:
    wholes = [[*row["prompt"], *row["response"]] for row in rows]
    width = max(map(len, wholes))
    ids = torch.tensor([[*whole, *[pad] * (width - len(whole))] for whole in wholes])
    mask = torch.tensor([[1] * len(whole) + [0] * (width - len(whole)) for whole in wholes])
    found: list[list[float]] = model(input_ids=ids, attention_mask=mask).logits.tolist()
    return found


if __name__ == "__main__":
    main()
