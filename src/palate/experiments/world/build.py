"""Rebuild the base model that ships with the package: `python -m palate.experiments.world.build`.

A small Llama is trained from scratch on the corpus, one passage a row. The prompt's tokens do not
count: most are random slots, whose noise would drown what the replies teach. Rows of like length
share a batch, so nearly nothing is padded; padding stands right, where causal attention does not
look. Same processor type, torch and thread count give the same bytes.
"""

import argparse
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from palate.experiments.world.corpus import draw_passages
from palate.experiments.world.tokens import build_tokenizer, passage_text

logger = logging.getLogger(__name__)

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """Passages of like length, padded on the right.

    Attributes:
        tokens: The passages.
        targets: The same, with `IGNORED` at prompts and padding.
    """

    tokens: Int[Tensor, "row time"]
    targets: Int[Tensor, "row time"]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """How the base model is trained.

    Attributes:
        num_steps: Optimizer steps; the model compares a reply with its prompt from about 1,800 on.
        rows_per_step: Passages in an optimizer step.
        learning_rate: Learning rate between warm-up and decay.
        num_warmup_steps: Optimizer steps of linear warm-up.
        num_decay_steps: The last optimizer steps, over which the learning rate falls to zero. What
            the model has learned settles here: a reward model that starts from it reads cleaner.
        weight_decay: Of AdamW, on matrices alone.
        max_grad_norm: Gradients are clipped to this norm.
        num_threads: Threads of torch; another number gives other rounding.
        seed: Of weights and corpus.
        hidden_size: Width of the model.
        num_layers: Its layers.
    """

    num_steps: int = 4000
    rows_per_step: int = 32
    learning_rate: float = 2.3e-3
    num_warmup_steps: int = 200
    num_decay_steps: int = 1500
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    num_threads: int = 1
    seed: int = 0
    hidden_size: int = 128
    num_layers: int = 4


POOL_BATCHES = 100
"""Batches that are drawn together and sorted by length."""


def build_base_model(output_dir: Path, settings: BuildSettings) -> None:
    """Train the base model and save it with its tokenizer as a Hugging Face folder.

    Args:
        output_dir: Where to save; made if missing.
        settings: How to train.
    """
    torch.set_num_threads(settings.num_threads)
    tokenizer = build_tokenizer()
    model = _new_model(tokenizer, settings)
    _train(model, _batches(tokenizer, settings), settings)
    output_dir.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(output_dir)
    tokenizer.save_pretrained(output_dir)


def _new_model(tokenizer: PreTrainedTokenizerFast, settings: BuildSettings) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.hidden_size * 11 // 4,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.hidden_size // 32,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        max_new_tokens=48,
    )
    generator = torch.Generator().manual_seed(settings.seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(0.0, 0.05, generator=generator)
    return model


def _train(model: LlamaForCausalLM, batches: Iterator[Batch], settings: BuildSettings) -> None:
    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
    )
    model.train()
    started = time.perf_counter()
    for step, batch in enumerate(islice(batches, settings.num_steps)):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step, settings)
        loss = _next_token_loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 100 == 0 or step == settings.num_steps - 1:
            seconds = time.perf_counter() - started
            logger.info("step %d: loss %.4f nats a reply token, %.0f s", step, loss.item(), seconds)


def _next_token_loss(model: LlamaForCausalLM, batch: Batch) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats a token of replies and reviews."""
    logits = model(input_ids=batch.tokens[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.targets[:, 1:].flatten(), ignore_index=IGNORED
    )


def _learning_rate(step: int, settings: BuildSettings) -> float:
    """Linear up, constant, linear down to zero."""
    up = (step + 1) / settings.num_warmup_steps
    down = (settings.num_steps - step) / settings.num_decay_steps
    return settings.learning_rate * min(1.0, up, down)


def _batches(tokenizer: PreTrainedTokenizerFast, settings: BuildSettings) -> Iterator[Batch]:
    generator = np.random.default_rng(settings.seed)
    passages = draw_passages(generator)
    size = settings.rows_per_step
    while True:
        pool = list(islice(passages, size * POOL_BATCHES))
        prompts = tokenizer([passage.prompt for passage in pool])["input_ids"]
        texts = tokenizer([passage_text(passage) for passage in pool])["input_ids"]
        rows = sorted(zip(texts, map(len, prompts), strict=True), key=lambda row: len(row[0]))
        for start in generator.permutation(POOL_BATCHES) * size:
            yield _padded(rows[start : start + size], tokenizer.pad_token_id)


def _padded(rows: list[tuple[list[int], int]], pad: int) -> Batch:
    """Rows of tokens, each with the length of its prompt, as one batch."""
    longest = max(len(row) for row, _ in rows)
    tokens = torch.full((len(rows), longest), pad)
    targets = torch.full((len(rows), longest), IGNORED)
    for index, (row, num_prompt_tokens) in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor(row)
        targets[index, num_prompt_tokens : len(row)] = torch.tensor(row[num_prompt_tokens:])
    return Batch(tokens, targets)


def main() -> None:
    """Read the command line and build."""
    defaults = BuildSettings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).parent / "base")
    parser.add_argument("--num-steps", type=int, default=defaults.num_steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = BuildSettings(num_steps=arguments.num_steps, seed=arguments.seed)
    build_base_model(arguments.output_dir, settings)


if __name__ == "__main__":
    main()
