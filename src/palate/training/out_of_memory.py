"""Too little memory: how it is recognized, and what is said where nothing smaller can be tried."""

from collections.abc import Sequence

from accelerate.utils.memory import should_reduce_batch_size

from palate.data.trees import Tree
from palate.errors import RecipeError

# What else torch and the C++ library say where an allocation fails.
ALLOCATION_FAILED = ("out of memory", "can't allocate memory", "std::bad_alloc")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory did not suffice; on a CPU it has no class of its own."""
    return (
        isinstance(error, MemoryError)
        or bool(should_reduce_batch_size(error))
        or any(words in str(error) for words in ALLOCATION_FAILED)
    )


def in_short(error: Exception) -> str:
    """The error's class and first line."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def too_little(trees: Sequence[Tree], *, reason: str, max_tokens: int) -> RecipeError:
    """The error of a micro-batch that cannot be made smaller.

    Args:
        trees: the micro-batch.
        reason: what the allocator said.
        max_tokens: tokens of a micro-batch at most.
    """
    tokens = sum(tree.num_tokens for tree in trees)
    return RecipeError(
        f"memory does not suffice for the longest row of this run, which stands alone in a "
        f"micro-batch: {tokens} tokens, prompt and responses together ({reason}; "
        f"max_tokens_per_microbatch is {max_tokens}). Lower max_length, leave long rows out "
        "(--overlong drop), or train adapters (--use-peft) of a smaller rank"
    )
