"""Whether the reward that is optimized and the one that is meant have parted (Goodhart's law)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Standard errors of a difference that chance rarely reaches (one time in 44, on one side).
BEYOND = 2.0


@dataclass(frozen=True)
class Reading:
    """One evaluation: mean of proxy and gold reward a response, each with its standard error."""

    proxy: float
    proxy_se: float
    gold: float
    gold_se: float


def have_parted(readings: Sequence[Reading], *, patience: int) -> bool:
    """Whether proxy is up and gold is down, and not by chance, in the last evaluations.

    Compared with the evaluation where gold was highest, each of the last `patience` evaluations,
    all of them after it, has more proxy and less gold, by more than two standard errors of the
    difference. So a gold that rises with the proxy never parts, nor does one that only wavers.

    Args:
        readings: evaluations in the order of training.
        patience: evaluations in a row that must show it, ≥ 1.

    Reference:
        Gao, Schulman and Hilton 2022, arXiv:2210.10760, figure 1: gold rises with the proxy, and
        from some KL on falls while the proxy still rises. The criterion is ours.
    """
    if not readings:
        return False
    peak = max(range(len(readings)), key=lambda i: readings[i].gold)
    best, last = readings[peak], readings[-patience:]
    if len(readings) - patience <= peak:
        return False
    return all(
        now.proxy - best.proxy > BEYOND * math.hypot(now.proxy_se, best.proxy_se)
        and best.gold - now.gold > BEYOND * math.hypot(now.gold_se, best.gold_se)
        for now in last
    )
