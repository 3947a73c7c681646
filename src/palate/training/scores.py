"""Asking a reward for scores, and not believing it: one finite number a response."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from palate.data.trees import Forest, Tree
from palate.errors import NumericalError, UsageError
from palate.models.attention import Plan
from palate.models.protocols import Reward

MAX_NAMED = 3


def checked_scores(
    reward: Reward,
    trees: Sequence[Tree],
    forest: Forest,
    plan: Plan,
    *,
    tokenizer: PreTrainedTokenizerBase,
) -> Tensor:
    """What a reward gives to the responses of trees, float32 [response].

    Raises:
        UsageError: it gives another number of scores than there are responses.
        NumericalError: a score is not finite; the message names its prompts.
    """
    scores = torch.as_tensor(reward(trees, forest, plan)).detach().float().to(forest.tokens.device)
    prompts = [tree for tree in trees for _ in tree.responses]
    if scores.shape != (len(prompts),):
        raise UsageError(
            f"the reward gave scores of shape {tuple(scores.shape)} for {len(prompts)} responses "
            f"(prompts: {_named(prompts, tokenizer)}); it must give one number a response, in order"
        )
    odd = (~scores.isfinite()).nonzero()[:, 0].tolist()
    if odd:
        raise NumericalError(
            f"the reward of {len(odd)} responses is not finite (first {float(scores[odd[0]])}; "
            f"prompts: {_named([prompts[i] for i in odd], tokenizer)}); stopped before the update. "
            "Look at these prompts' responses, or bound the reward"
        )
    return scores


def _named(prompts: Sequence[Tree], tokenizer: PreTrainedTokenizerBase) -> str:
    unique = list({id(tree): tree for tree in prompts}.values())
    shown = []
    for tree in unique[:MAX_NAMED]:
        text = str(tokenizer.decode([*tree.prompt]))
        short = text if len(text) <= 60 else f"{text[:57]}…"
        shown.append(f"{short!r} ({tree.origin})" if tree.origin else repr(short))
    more = len(unique) - MAX_NAMED
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
