"""The case that two implementations of DPO are put to: model, adapter, pairs, and our numbers.

Everything is made from one NumPy generator, so that the case is the same in another environment,
under another version of torch, and years later. Nothing here but `palate_numbers` needs Palate:
TRL's side imports this file in an environment of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 20261124
VOCAB = 64
NUM_PAIRS = 40
BATCH = 4
STEPS = 20
BETA = 0.3
LEARNING_RATE = 3e-3
MAX_GRAD_NORM = 1.0


def tokenizer() -> PreTrainedTokenizerFast:
    """One word a token: "<pad> <s> </s> w3 w4 …"."""
    words = ["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(3, VOCAB))]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def pairs() -> list[dict[str, str]]:
    """Rows as users write them: prompts of 1 to 9 words, responses of 1 to 14."""
    generator = np.random.default_rng([SEED, 0])

    def words(most: int) -> str:
        ids = generator.integers(3, VOCAB, size=int(generator.integers(1, most + 1)))
        return " ".join(f"w{i}" for i in ids)

    rows: list[dict[str, str]] = []
    while len(rows) < NUM_PAIRS:
        row = {"prompt": words(9), "chosen": f" {words(14)}", "rejected": f" {words(14)}"}
        if row["chosen"] != row["rejected"]:
            rows.append(row)
    return rows


def row_order() -> list[int]:
    """Indices of the training rows, step after step: two epochs, each dealt anew."""
    from palate.training.seeding import order

    epochs = STEPS * BATCH // NUM_PAIRS
    return [i for epoch in range(epochs) for i in order(NUM_PAIRS, seed=SEED, epoch=epoch)]


def write_case(folder: Path) -> tuple[Path, Path]:
    """Write the model's folder and the adapter's folder; returns both paths."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
        )
    )  # fmt: skip
    _fill(model, np.random.default_rng([SEED, 1]), only="", scale=0.15)
    model.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    config = LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(model, config)
    # B as well as A is filled: at PEFT's own start B is zero and the adapter changes nothing.
    _fill(adapted, np.random.default_rng([SEED, 2]), only="lora_", scale=0.1)
    adapted.peft_config["default"].base_model_name_or_path = str(folder / "model")
    adapted.save_pretrained(folder / "adapter")
    return folder / "model", folder / "adapter"


def palate_numbers(folder: Path) -> dict[str, Any]:
    """Palate's side: per-pair numbers of the adapter against the base, then a training run.

    In the training run the reference is a frozen copy of the adapter that training starts from.
    """
    from palate.data.grow import preference_trees
    from palate.data.render import Renderer
    from palate.data.sources import preferences_from_rows
    from palate.data.trees import plant
    from palate.models.load import load
    from palate.models.reference import ReferenceCache
    from palate.models.roles import Roles
    from palate.training.dpo import train_dpo
    from palate.training.pair_scores import score_pairs
    from palate.training.settings import DPOSettings

    model, adapter = write_case(folder)
    settings = DPOSettings(
        beta=BETA, learning_rate=LEARNING_RATE, lr_scheduler_type="constant", warmup_steps=0,
        max_grad_norm=MAX_GRAD_NORM, per_device_train_batch_size=BATCH, max_steps=STEPS,
        logging_steps=1, seed=SEED, lora_r=4, lora_alpha=8,
    )  # fmt: skip
    loaded = load(model)
    renderer = Renderer(loaded.tokenizer)
    records = preferences_from_rows(pairs()).records
    trees, _ = preference_trees(records, renderer, max_length=64)

    roles = Roles(loaded.model, loaded.tokenizer)
    roles.add_policy_as_is(adapter=adapter)
    roles.add_start_reference()
    cache = ReferenceCache()
    cache.fill(roles, trees)
    with torch.no_grad():
        scores = score_pairs(roles, trees, plant(trees), cache=cache, settings=settings)

    trained = load(adapter)
    roles = Roles(trained.model, trained.tokenizer)
    roles.add_policy(adapter=trained.adapter)
    result = train_dpo(roles, trees, settings)
    return {
        "order": row_order(),
        "tokens": [[list(t.prompt), *(list(r.tokens) for r in t.responses)] for t in trees],
        "pairs": {
            "loss": scores.losses.tolist(),
            "margin": (BETA * scores.margins).tolist(),
            "logp_chosen": scores.chosen.tolist(),
            "logp_rejected": scores.rejected.tolist(),
        },
        "training": {
            "loss": [row["loss"] for row in result.history],
            "margin": [row["rewards/margins"] for row in result.history],
            "grad_norm": [row["grad_norm"] for row in result.history],
        },
    }


def worst_gap(ours: list[float], theirs: list[float]) -> float:
    """Largest difference of two lists, relative to the larger of the value and the list's mean.

    A margin near 0 is a small difference of large sums: it is held to the list's scale.
    """
    mine, other = np.array(ours), np.array(theirs)
    scale = np.maximum(np.abs(other), np.abs(other).mean())
    return float((np.abs(mine - other) / scale).max())


def _fill(
    model: torch.nn.Module, generator: np.random.Generator, *, only: str, scale: float
) -> None:
    """Give parameters, in the order of their names, normal values; norms stay near 1."""
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if only in name:
                noise = generator.standard_normal(tuple(parameter.shape)) * scale
                start = 1.0 if name.endswith("norm.weight") else 0.0
                parameter.copy_(torch.from_numpy((start + noise).astype(np.float32)))
