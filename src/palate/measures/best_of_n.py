"""Best-of-n sampling: the distribution that it draws from, and how far that is from the policy.

log n − (n − 1)/n nats is often called its KL. It is an upper bound, met only where no two responses
share a reward and none is likely enough to be drawn twice.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kl_upper_bound(n: int) -> float:
    """How far best-of-n is from the policy at most: log n − (n − 1)/n nats a response.

    Reference:
        Beirami et al. 2024, arXiv:2401.01879, theorem 3.1.
    """
    if n < 1:
        raise ValueError(f"best of {n}: there must be a response to choose")
    return math.log(n) - (n - 1) / n


def best_of_n_distribution(*, probabilities: Floats, rewards: Floats, n: int) -> Floats:
    """Exact probabilities of best-of-n where every response of a prompt is known.

    P(y) = (p(r ≤ r_y)ⁿ − p(r < r_y)ⁿ) · p(y) / p(r = r_y): responses of equal reward share as the
    first of them to be drawn is kept.

    Args:
        probabilities: [response], of the policy that is sampled; they sum to 1.
        rewards: [response].
        n: draws.

    Reference:
        Beirami et al. 2024, arXiv:2401.01879, lemma 2.2.
    """
    found = np.zeros_like(probabilities)
    for reward in np.unique(rewards):
        level = rewards == reward
        below = probabilities[rewards < reward].sum()
        here = probabilities[level].sum()
        if here > 0:
            found[level] = ((below + here) ** n - below**n) * probabilities[level] / here
    return found


def kl_of_best(*, logprobs: Floats, n: int) -> Floats:
    """Estimate of KL(best-of-n‖policy) from the log-probabilities of chosen responses.

    As if the chosen response, of probability ε, had the highest reward there is, and the others
    were too many to repeat:

        (1 − ε)ⁿ · (log n + (n − 1)·log(1 − ε) − (n − 1)/n) + (1 − (1 − ε)ⁿ) · log((1 − (1 − ε)ⁿ)/ε)

    Args:
        logprobs: [response] of the sampled policy, nats, ≤ 0.
        n: draws that each was the best of.

    Returns:
        Nats [response], between 0 and the upper bound; their mean is the estimate. The bound itself
        where ε is next to 0.

    Reference:
        Beirami et al. 2024, arXiv:2401.01879, section 4.
    """
    if n == 1:
        return np.zeros_like(logprobs)
    # At ε = 1 the first term is 0·log 0, which is 0: a certain response has KL 0.
    log_rest = np.log1p(-np.exp(np.minimum(logprobs, -1e-12)))
    others = np.exp(n * log_rest)
    once = -np.expm1(n * log_rest)
    with np.errstate(divide="ignore"):
        log_once = np.log(once)
    several = np.where(once > 0, once * (log_once - logprobs), 0.0)
    found: Floats = others * (math.log(n) + (n - 1) * log_rest - (n - 1) / n) + several
    return found
