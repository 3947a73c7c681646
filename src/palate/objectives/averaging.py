"""How the losses of tokens become one loss: a weight a token, the same within a response.

Axes: `response`.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Average = Literal["dapo", "bnpo", "grpo", "dr_grpo"]


def token_weights(
    *,
    lengths: Int[Tensor, " response"],
    average: Average,
    num_responses: int,
    num_tokens: int,
    max_length: int,
) -> Float[Tensor, " response"]:
    """Weight of each token of some responses in the loss of the batch that they are part of.

    Args:
        lengths: tokens of the responses.
        average: "grpo": the mean over responses of the mean over tokens, 1 / (N · length): a long
            wrong response is blamed less a token than a short one. "dapo" and "bnpo": the mean
            over all tokens, 1 / Σ length. "dr_grpo": 1 / (N · max_length), a constant.
        num_responses: N, of the whole batch.
        num_tokens: Σ length, of the whole batch.
        max_length: tokens that a response can have.

    Returns:
        1/tokens; over the whole batch the weights of all tokens sum to 1 (of "dr_grpo" to the mean
        length over max_length).

    Reference:
        Shao et al. 2024, arXiv:2402.03300, equation 3 (grpo); Yu et al. 2025, arXiv:2503.14476,
        equation 8 (dapo); Liu et al. 2025, arXiv:2503.20783, section 3.2 (dr_grpo). Differs from
        the last: the constant is N · max_length, as in TRL, which only scales the loss.
    """
    if average == "grpo":
        return 1.0 / (num_responses * lengths.float())
    whole = num_responses * max_length if average == "dr_grpo" else num_tokens
    return torch.full_like(lengths, 1.0 / whole, dtype=torch.float32)
