"""Numbers that are logged because a finding needs them (docs/findings.md); all cheap.

Axes: `response` the responses of a rollout; `pair` held-out pairs; `target` response tokens.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Forest, Tree
from palate.measures.length import length_correlation
from palate.measures.text import repeated_share

# Share of held-out pairs, the surest ones, whose errors tell of labels.
SUREST = 0.25


def response_signs(forest: Forest, scores: Float[Tensor, " response"]) -> dict[str, float]:
    """Of sampled responses: how much they repeat themselves, and whether length is rewarded.

    A metric that the responses are too short, or too equal, to have is left out.
    """
    found = {"objective/length_correlation": correlation(scores, forest.lengths.float())}
    tokens, ends = forest.targets.tolist(), forest.lengths.cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    rates = [repeated_share(tokens[i:j]) for i, j in zip(starts, ends, strict=True)]
    told = [rate for rate in rates if rate is not None]
    found["repetition"] = sum(told) / len(told) if told else None
    return {name: value for name, value in found.items() if value is not None}


def pair_signs(
    margins: Float[Tensor, " pair"], lengths: Float[Tensor, "pair two"]
) -> dict[str, float]:
    """Of held-out pairs: how often the surest are wrong, and whether margins are lengths.

    Args:
        margins: chosen − rejected reward.
        lengths: tokens of the chosen and of the rejected response.
    """
    surest = margins.abs().topk(max(1, round(SUREST * len(margins)))).indices
    return {
        "rewards/confident_errors": float((margins[surest] < 0).float().mean()),
        "rewards/length_correlation": length_correlation(
            margins=margins.cpu().numpy(), chosen=lengths[:, 0].numpy(),
            rejected=lengths[:, 1].numpy(),
        ),
    }  # fmt: skip


def pair_lengths(pairs: Sequence[Tree]) -> Float[Tensor, "pair two"]:
    """Tokens of the chosen and of the rejected response of each pair."""
    return torch.tensor([[len(r.tokens) for r in tree.responses] for tree in pairs]).float()


def explained_variance(
    values: Float[Tensor, " target"], returns: Float[Tensor, " target"]
) -> float | None:
    """1 − Var(returns − values) / Var(returns); None where all returns are alike."""
    total = returns.double().var(correction=0)
    left = (returns.double() - values.double()).var(correction=0)
    return float(1 - left / total) if float(total) > 0 else None


def correlation(first: Float[Tensor, " n"], second: Float[Tensor, " n"]) -> float | None:
    """Pearson's; None of fewer than three, or where one of the two does not vary."""
    if len(first) < 3:
        return None
    one, other = (each.double() - each.double().mean() for each in (first, second))
    spread = float(one.norm() * other.norm())
    # Rounding alone makes a spread of equal numbers that is not 0.
    tiny = 1e-9 * len(first) * float(first.abs().max() + 1) * float(second.abs().max() + 1)
    return float(one @ other) / spread if spread > tiny else None
