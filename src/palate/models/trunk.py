"""A causal language model seen as two pieces: a decoder that gives hidden rows, and its head.

The flat path (tree attention over one row) is checked once per model against one padded row a
response, values and a gradient. A model that fails it runs on padded rows: the same numbers,
slower, and one line says so.
"""

import logging

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from palate.data.trees import Forest, Response, Tree, plant
from palate.errors import ModelError
from palate.models.attention import ForestAttention, Plan, model_keywords, plan_forest

log = logging.getLogger("palate")
# Share of the largest number; bfloat16 rounds at 2⁻⁸.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
# Rotary frequencies of these types depend on the longest position of the whole row.
LENGTH_DEPENDENT_ROPE = {"dynamic", "longrope"}


class Trunk:
    """The decoder and the language-model head of one model in memory."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.decoder = model.base_model
        config = model.config
        # None: a reward model of its own, which has no words.
        self.head: nn.Module | None = model.get_output_embeddings()
        self.softcap: float | None = getattr(config, "final_logit_softcapping", None)
        self.logit_scale = float(getattr(config, "logit_scale", None) or 1.0)
        self.logit_scale /= float(getattr(config, "logits_scaling", None) or 1.0)
        reason = self._why_not_flat()
        self.flat = reason is None
        if reason is not None:
            name = type(model).__name__
            log.warning("%s runs on padded rows (same numbers, slower): %s", name, reason)

    def hidden(self, forest: Forest, plan: Plan | None = None) -> Float[Tensor, "token width"]:
        """Hidden rows (after the final norm) of every row of a forest."""
        if not self.flat:
            return self._padded_rows(forest)
        plan = plan or plan_forest(forest)
        return self.step(forest.tokens, forest.positions, plan)

    def step(
        self, tokens: Int[Tensor, " token"], positions: Int[Tensor, " token"], plan: Plan
    ) -> Float[Tensor, "token width"]:
        """Hidden rows of one flat row of tokens under any attention plan."""
        output = self.decoder(
            input_ids=tokens[None],
            position_ids=positions[None],
            **model_keywords(plan, tokens.device),
        )
        rows: Tensor = output.last_hidden_state[0]
        return rows

    def logits(self, hidden: Float[Tensor, "row width"]) -> Float[Tensor, "row vocab"]:
        """Float32 logits of hidden rows, with the model's own scale and soft cap."""
        if self.head is None:
            raise ModelError(f"{type(self.model).__name__} has no language-model head")
        logits: Tensor = self.head(hidden).float() * self.logit_scale
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits

    def _padded_rows(self, forest: Forest) -> Float[Tensor, "token width"]:
        """One right-padded row a response, gathered back into the forest's order."""
        rows: list[list[int]] = []
        for span in forest.spans:
            prompt = list(range(span.start, span.start + span.prompt))
            first = span.start + span.prompt
            for count in span.responses or (0,):
                rows.append([*prompt, *range(first, first + count)])
                first += count
        width = max(map(len, rows))
        device = forest.tokens.device
        index = torch.tensor([[*r, *[r[0]] * (width - len(r))] for r in rows], device=device)
        lengths = torch.tensor([len(r) for r in rows], device=device)
        mask = torch.arange(width, device=device)[None] < lengths[:, None]
        output = self.decoder(
            input_ids=forest.tokens[index], attention_mask=mask.long(), use_cache=False
        )
        # A prompt stands in every row of its tree; its first row serves.
        home = torch.zeros(len(forest.tokens), dtype=torch.long, device=device)
        flat_index, places = index[mask].flip(0), mask.flatten().nonzero()[:, 0].flip(0)
        home[flat_index] = places
        hidden: Tensor = output.last_hidden_state.flatten(0, 1)[home]
        return hidden

    def _why_not_flat(self) -> str | None:
        """None where the flat path gives the padded path's numbers; else the reason in words."""
        rope = getattr(self.model.config, "rope_parameters", None) or {}
        kind = rope.get("rope_type") if isinstance(rope, dict) else None
        if kind in LENGTH_DEPENDENT_ROPE:
            return f"its rotary positions ({kind}) depend on the length of the whole row"
        if self.model.config.model_type in {"llama4", "llama4_text"}:
            return "its chunked attention lives in the mask"
        vocab = self.model.config.get_text_config().vocab_size
        ids = [1 + (7 * i) % max(vocab - 1, 1) if vocab > 1 else 0 for i in range(13)]
        ids = [i % vocab for i in ids]
        trees = [
            Tree(tuple(ids[:4]), (Response(tuple(ids[4:7])), Response(tuple(ids[6:11])))),
            Tree(tuple(ids[2:4]), (Response(tuple(ids[9:13])),)),
        ]
        forest = plant(trees, device=self.model.device)
        plan = plan_forest(forest)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        with torch.enable_grad():
            embedding = self.model.get_input_embeddings().weight
            embedding.requires_grad_(True)
            try:
                flat, flat_gradient = self._probe(forest, embedding, plan)
                padded, padded_gradient = self._probe(forest, embedding, None)
            except Exception as error:  # any failure of foreign model code means: not flat
                return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
            finally:
                embedding.requires_grad_(any(embedding is p for p in trained))
        layers = self.model.config.get_text_config().num_hidden_layers
        if plan.calls != layers:
            return f"tree attention ran in {plan.calls} of {layers} layers"
        tolerance = TOLERANCE.get(self.model.dtype, 1e-3)
        scale = 1e-6 + float(padded.abs().max())
        if float((flat - padded).abs().max()) > tolerance * scale:
            return "hidden rows differ from padded ones"
        scale = 1e-6 + float(padded_gradient.abs().max())
        if float((flat_gradient - padded_gradient).abs().max()) > tolerance * scale:
            return "gradients differ from padded ones"
        return None

    def _probe(
        self, forest: Forest, embedding: Tensor, plan: ForestAttention | None
    ) -> tuple[Tensor, Tensor]:
        if plan is None:
            hidden = self._padded_rows(forest)
        else:
            hidden = self.step(forest.tokens, forest.positions, plan)
        weights = torch.linspace(-1, 1, hidden.shape[-1], device=hidden.device, dtype=hidden.dtype)
        (gradient,) = torch.autograd.grad((hidden * weights).sum(), embedding)
        return hidden.detach().float(), gradient.float()
