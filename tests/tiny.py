"""Small builders that tests share: models of two layers, a tokenizer, adapters, toy trees."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from palate.data.trees import Response, Tree
from palate.models.roles import Roles

VOCAB = 48
PAD, BOS, EOS = 0, 1, 2
WIDTH = 32


def _built(kind: type[Any], config: Any, seed: int) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config)
    assert isinstance(model, PreTrainedModel)
    return model.eval()


def llama(
    *, seed: int = 0, vocab: int = VOCAB, spread: float = 0.15, tied: bool = False
) -> PreTrainedModel:
    """Rotary positions, four heads that share two key heads, an untied output head (or `tied`)."""
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        initializer_range=spread, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
        tie_word_embeddings=tied,
    )  # fmt: skip
    return _built(LlamaForCausalLM, config, seed)


def gpt2(*, seed: int = 0) -> PreTrainedModel:
    """Learned absolute positions, tied embeddings, Conv1D layers, dropout in the config."""
    config = GPT2Config(
        vocab_size=VOCAB, n_positions=128, n_embd=WIDTH, n_layer=2, n_head=4,
        initializer_range=0.15, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
    )  # fmt: skip
    return _built(GPT2LMHeadModel, config, seed)


def mistral(*, window: int, seed: int = 0) -> PreTrainedModel:
    """Every layer looks back `window` tokens and no further."""
    config = MistralConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        initializer_range=0.15, sliding_window=window, pad_token_id=PAD, bos_token_id=BOS,
        eos_token_id=EOS,
    )  # fmt: skip
    return _built(MistralForCausalLM, config, seed)


def bloom(*, seed: int = 0) -> PreTrainedModel:
    """Never calls the attention interface, so it must fall back to padded rows."""
    config = BloomConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, n_layer=2, n_head=4, initializer_range=0.15,
        pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
    )  # fmt: skip
    return _built(BloomForCausalLM, config, seed)


MODELS = {"llama": llama, "gpt2": gpt2}


def tokenizer(vocab: int = VOCAB) -> PreTrainedTokenizerFast:
    """One word a token: "<pad> <s> </s> w3 w4 …"."""
    return tokenizer_of(["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(3, vocab))])


def tokenizer_of(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """One word a token, with the ids of their places."""
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def lora(*, r: int = 4, dropout: float = 0.0) -> LoraConfig:
    """Adapters on every linear layer but the head."""
    return LoraConfig(r=r, lora_alpha=8, lora_dropout=dropout, target_modules="all-linear")


def roles_of(model: PreTrainedModel, *names: str, seed: int = 0, dropout: float = 0.0) -> Roles:
    """LoRA roles on a model, initialized from `seed`; "value" has an adapter of its own."""
    roles = Roles(model, tokenizer(model.config.vocab_size))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name in names:
            add(roles, name, lora(dropout=dropout))
    return roles


def add(roles: Roles, name: str, config: LoraConfig | None) -> None:
    """Add one role by name."""
    if name == "policy":
        roles.add_policy(config)
    elif name == "reference":
        roles.add_reference()
    elif name == "reward":
        roles.add_reward(config)
    elif name == "value":
        roles.add_value(config, shared=False)
    else:
        roles.add_value(shared=True)


def nudge(roles: Roles, name: str, *, seed: int = 7, by: float = 0.1) -> None:
    """Move a role's trainable tensors away from where they start (LoRA's B from zero)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in roles.parameters(name).values():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(by * noise.to(parameter.dtype))


def _tokens(generator: np.random.Generator, low: int, high: int) -> tuple[int, ...]:
    count = int(generator.integers(low, high + 1))
    return tuple(int(i) for i in generator.integers(3, VOCAB, size=count))


def trees(
    count: int, *, responses: int | Sequence[int] = 2, seed: int = 0, longest: int = 9
) -> list[Tree]:
    """Trees with prompts of 1 to 7 tokens and responses that end in EOS.

    Args:
        count: how many.
        responses: responses of each tree, or of each in turn.
        seed: of the draw.
        longest: tokens of a response at most, EOS included.
    """
    generator = np.random.default_rng(seed)
    ks = [responses] * count if isinstance(responses, int) else list(responses)
    return [
        Tree(
            _tokens(generator, 1, 7),
            tuple(Response((*_tokens(generator, 0, longest - 1), EOS)) for _ in range(k)),
            origin=f"toy:{number + 1}",
        )
        for number, k in zip(range(count), ks, strict=True)
    ]


def stock_logprobs(model: PreTrainedModel, some: Sequence[Tree]) -> list[torch.Tensor]:
    """The slow, obvious version: one stock forward a response; log-probabilities of its tokens."""
    found = []
    for tree in some:
        for response in tree.responses:
            row = torch.tensor([[*tree.prompt, *response.tokens]])
            logits = model(input_ids=row, use_cache=False).logits[0]
            logits = logits if logits.dtype == torch.float64 else logits.float()
            predicting = logits[len(tree.prompt) - 1 : -1].log_softmax(-1)
            targets = torch.tensor(response.tokens)
            found.append(predicting.gather(1, targets[:, None])[:, 0])
    return found
