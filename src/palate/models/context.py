"""Whether prompts and their responses fit into a model's context."""

from collections.abc import Sequence

from transformers import PretrainedConfig

from palate.errors import DataError

Tokens = tuple[int, ...]


def context_length(config: PretrainedConfig) -> int | None:
    """Positions that a model was made for; None where it names none."""
    limit = getattr(config, "max_position_embeddings", None)
    return None if limit is None else int(limit)


def check_context(
    config: PretrainedConfig,
    prompts: Sequence[Tokens],
    *,
    max_new_tokens: int,
    origins: Sequence[str] = (),
) -> None:
    """Refuse to sample past the positions that a model was made for.

    Learned positions end there; rotary ones go on, and what they say is of no use.

    Args:
        config: the model's.
        prompts: token ids.
        max_new_tokens: of a response at most.
        origins: where each prompt comes from; () where that is not known.

    Raises:
        DataError: the longest prompt leaves no room; the message names it.
    """
    limit = context_length(config)
    if limit is None or not prompts:
        return
    longest = max(range(len(prompts)), key=lambda i: len(prompts[i]))
    length = len(prompts[longest])
    if length + max_new_tokens <= limit:
        return
    place = origins[longest] if origins and origins[longest] else f"prompt {longest + 1}"
    room = limit - length
    remedy = f"lower max_new_tokens to {room}, or leave it out" if room > 0 else "leave it out"
    count = sum(len(prompt) + max_new_tokens > limit for prompt in prompts)
    raise DataError(
        f"{place}: the prompt has {length} tokens, which with max_new_tokens {max_new_tokens} go "
        f"beyond the {limit} positions of the model ({count} of {len(prompts)} prompts do); "
        f"{remedy}"
    )
