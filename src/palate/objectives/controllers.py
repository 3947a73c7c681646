"""The adaptive KL controller: the penalty's weight follows the KL that was measured.

A fixed controller is the weight itself and needs no function.
"""

# Ziegler et al. 2019, section 2.2: however far the KL is off, a rollout counts as 20 % off.
ERROR_LIMIT = 0.2


def adapted_kl_coef(
    *, kl_coef: float, kl: float, target: float, num_responses: int, horizon: float
) -> float:
    """The weight of the next rollout's KL penalty: higher where the KL is above its target.

    error = clip((kl − target) / target, −0.2, 0.2);  next = kl_coef · (1 + error · n / horizon)

    Args:
        kl_coef: weight that this rollout had, reward units per nat.
        kl: KL(policy‖reference) that it measured, nats a response.
        target: nats a response, > 0.
        num_responses: n, responses of the rollout.
        horizon: responses after which an error of 1 would have doubled the weight, > 0.2 · n.

    Returns:
        Reward units per nat; `kl_coef` where the KL is on target.

    Reference:
        Ziegler et al. 2019, arXiv:1909.08593, section 2.2, whose K_β = 0.1 is n / horizon here,
        as in their program and in TRL until 0.11.
    """
    error = min(max((kl - target) / target, -ERROR_LIMIT), ERROR_LIMIT)
    return kl_coef * (1 + error * num_responses / horizon)
