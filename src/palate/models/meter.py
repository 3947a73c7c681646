"""The cost ledger: tokens and FLOPs, counted where they are spent.

FLOPs of a pass over T rows with U head rows and K attention pairs, Nb block parameters in matrix
products, vocabulary × width Nv and La = layers × heads × head width:

    forward    2·Nb·T + 2·Nv·U + 4·La·K
    backward   the same again for activations, and once more for trained weights' matrix products
"""

from dataclasses import dataclass, field
from typing import Literal

from transformers import PretrainedConfig, PreTrainedModel

Work = Literal["train", "score", "sample"]


@dataclass
class Meter:
    """Running totals of one arm; `reset` starts the next."""

    flops: dict[Work, float] = field(default_factory=lambda: dict.fromkeys(WORKS, 0.0))
    tokens: dict[Work, int] = field(default_factory=lambda: dict.fromkeys(WORKS, 0))

    def add(
        self,
        work: Work,
        model: PreTrainedModel,
        *,
        rows: int,
        head_rows: int,
        pairs: float,
        passes: float = 1.0,
    ) -> None:
        """Count one pass over a forest.

        Args:
            work: what the pass was for.
            model: gives the sizes.
            rows: tokens through the blocks.
            head_rows: rows through the vocabulary.
            pairs: query–key pairs of attention.
            passes: 1 forward, 2 forward and backward to activations, 3 with all weights trained.
        """
        size = model_sizes(model)
        forward = 2 * size[0] * rows + 2 * size[1] * head_rows + 4 * size[2] * pairs
        self.flops[work] += forward * passes
        self.tokens[work] += rows

    def reset(self) -> None:
        """Back to zero."""
        self.__init__()  # type: ignore[misc]  # a dataclass's __init__ is its zero


WORKS: tuple[Work, ...] = ("train", "score", "sample")


def model_sizes(model: PreTrainedModel) -> tuple[int, int, int]:
    """(block matmul parameters, vocabulary × width, layers × heads × head width)."""
    cached: tuple[int, int, int] | None = getattr(model, "_palate_sizes", None)
    if cached is None:
        config: PretrainedConfig = model.config.get_text_config()
        blocks = sum(
            p.numel()
            for name, p in model.base_model.named_parameters()
            if p.ndim == 2 and not any(part in name for part in ("embed", "wte", "wpe", "lora_"))
        )
        heads = config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        cached = (
            blocks,
            config.vocab_size * config.hidden_size,
            config.num_hidden_layers * heads * width,
        )
        model._palate_sizes = cached
    return cached
