"""Advantages from the rewards of several responses to one prompt, without a value function.

What a value function would have to learn, how much reward a prompt gives anyway, is read off the
prompt's other responses instead.

Axes: `prompt`, `sample` the responses of one prompt.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

RewardScale = Literal["group", "batch", "none"]
# Keeps a group whose rewards are nearly alike from blowing their differences up (TRL's number).
SCALE_EPSILON = 1e-4


def leave_one_out_advantages(
    *, rewards: Float[Tensor, "prompt sample"]
) -> Float[Tensor, "prompt sample"]:
    """Each reward less the mean of the OTHER rewards of its prompt: an unbiased baseline.

    Args:
        rewards: of at least two responses a prompt.

    Returns:
        Reward units; 0 where all rewards of a prompt are equal.

    Raises:
        ValueError: a prompt has a single response, so that no other one is left.

    Reference:
        Ahmadian et al. 2024, arXiv:2402.14740, section 4.2 (RLOO).
    """
    count = _several(rewards)
    others = (rewards.sum(1, keepdim=True) - rewards) / (count - 1)
    return rewards - others


def group_relative_advantages(
    *, rewards: Float[Tensor, "prompt sample"], scale: RewardScale
) -> Float[Tensor, "prompt sample"]:
    """Each reward less the mean of its prompt's rewards (its own among them), in units of a spread.

    Args:
        rewards: of at least two responses a prompt.
        scale: "group" divides by the standard deviation of the prompt's rewards, which makes every
            prompt count alike, however little its rewards differ; "batch" by that of all rewards;
            "none" by nothing.

    Returns:
        Spreads (reward units for "none"); 0 where all rewards of a prompt are equal.

    Raises:
        ValueError: a prompt has a single response.

    Reference:
        Shao et al. 2024, arXiv:2402.03300, section 4.1.2 (GRPO); "none" is Liu et al. 2025,
        arXiv:2503.20783 (Dr. GRPO). The divisor of a variance is n − 1 and 1e-4 is added to a
        standard deviation, as in TRL; the papers do not say.
    """
    _several(rewards)
    centered = rewards - rewards.mean(1, keepdim=True)
    if scale == "none":
        return centered
    spread = rewards.std(1, keepdim=True) if scale == "group" else rewards.std()
    return centered / (spread + SCALE_EPSILON)


def best_and_worst(rewards: Float[Tensor, "prompt sample"]) -> list[tuple[int, int] | None]:
    """Columns of the highest and the lowest reward of each prompt, the first of equal ones.

    None where all rewards of a prompt are equal: nothing is preferred.
    """
    best, worst = rewards.argmax(1).tolist(), rewards.argmin(1).tolist()
    alike = (rewards.amax(1) == rewards.amin(1)).tolist()
    return [
        None if same else (high, low) for high, low, same in zip(best, worst, alike, strict=True)
    ]


def _several(rewards: Tensor) -> int:
    count = rewards.shape[1]
    if count < 2:
        raise ValueError(
            f"{count} response a prompt leaves nothing to compare it with; sample at least two"
        )
    return count
