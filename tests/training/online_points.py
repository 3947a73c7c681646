"""Fixed points of online methods where every string is known, without the code under test.

An online method goes in the direction that its update has on average. Here that direction is
written down for a policy that is a table, one free distribution a state (prompt and what was said),
with expectations over all strings instead of samples; where it vanishes is the method's fixed
point. No model, no loop, no function of the package.

Axes: `string`, `state` (nothing said yet, or one of the letters), `token`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np
import torch
from scipy.optimize import root
from tests.training.fixed_points import Formula, PairTable
from torch import Tensor

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Policy:
    """A table's distributions, and what they make of the strings."""

    logits: Tensor  # [state, token]
    strings: Sequence[Tokens]

    @property
    def tokens(self) -> Tensor:
        """Log-probability of each token of each string [string, place], 0 where there is none."""
        table = self.logits.log_softmax(-1)
        zero = table.new_zeros(())
        rows = []
        for string in self.strings:
            states = (0, *string)
            some = [table[states[i], token] for i, token in enumerate(string)]
            rows.append(torch.stack([*some, *[zero] * (2 - len(some))]))
        return torch.stack(rows)

    @property
    def logprobs(self) -> Tensor:
        """[string]."""
        return self.tokens.sum(1)

    @property
    def probs(self) -> Tensor:
        """[string], a constant: a sample's probability is nothing that is learned from."""
        return self.logprobs.detach().exp()


# A number whose gradient by the table is the method's mean update, turned around.
Field = Callable[[Policy], Tensor]


def table_of(logprobs: Tensor, strings: Sequence[Tokens]) -> Tensor:
    """The logits [state, token] of a distribution [string] over all strings."""
    num_tokens = 1 + max(token for string in strings for token in string)
    found = torch.zeros(num_tokens, num_tokens, dtype=torch.float64)
    for state in range(num_tokens):
        for token in range(num_tokens):
            begin = (token,) if state == 0 else (state, token)
            some = [i for i, s in enumerate(strings) if s[: len(begin)] == begin]
            found[state, token] = logprobs[some].logsumexp(0)
    return found


def stationary(field: Field, start: Tensor, strings: Sequence[Tokens]) -> Tensor:
    """Log-probabilities [string] where the update vanishes, found by following it from `start`."""

    def direction(logits: Tensor) -> Tensor:
        leaf = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(field(Policy(leaf, strings)), leaf)
        return -gradient

    logits = table_of(start, strings)
    for _ in range(400):
        logits = logits + 2.0 * direction(logits)
    shape = logits.shape

    def free(values: np.ndarray) -> Tensor:
        # One logit of each state is held: only differences matter.
        return torch.cat([torch.from_numpy(values).view(shape[0], -1), logits[:, -1:]], dim=1)

    def vanishing(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = direction(free(values))[:, :-1].flatten().numpy()
        return found

    solved = root(vanishing, logits[:, :-1].flatten().numpy(), method="hybr", tol=1e-12)
    assert np.abs(solved.fun).max() < 1e-9, "the update vanishes nowhere near"
    return Policy(free(solved.x), strings).logprobs


def group_advantages(rewards: Tensor, *, size: int, scale: str) -> Callable[[Tensor], Tensor]:
    """Probabilities → mean advantage [string] of a string in groups of `size`.

    The mean is over all that its siblings can be. (r − mean of the group) / (standard deviation of
    the group + 1e-4), or without the divisor.
    """
    groups = list(combinations_with_replacement(range(len(rewards)), size - 1))
    siblings = torch.tensor(groups)
    ways = torch.tensor(
        [factorial(size - 1) / prod(factorial(c) for c in Counter(g).values()) for g in groups],
        dtype=torch.float64,
    )
    given = rewards[siblings]
    own = rewards[:, None, None].expand(-1, len(groups), 1)
    group = torch.cat([own, given.expand(len(rewards), -1, -1)], dim=2)
    lead = rewards[:, None] - group.mean(2)
    if scale == "group":
        lead = lead / (group.std(2) + 1e-4)

    def mean(probs: Tensor) -> Tensor:
        return lead @ (ways * probs[siblings].prod(1))

    return mean


def grpo_field(
    rewards: Tensor,
    reference: Tensor,
    *,
    beta: float,
    size: int,
    scale: str,
    per_response: bool,
    corrected: bool,
) -> Field:
    """GRPO's update: advantages less the KL estimate's gradient, token by token.

    Args:
        rewards: [string].
        reference: [string, place], log-probability of each token.
        beta: weight of the KL estimate.
        size: responses of a group.
        scale: "group" or "none".
        per_response: tokens weigh 1 / length of their response.
        corrected: the KL estimate is weighed by the ratio.
    """
    advantages = group_advantages(rewards, size=size, scale=scale)

    def field(policy: Policy) -> Tensor:
        tokens = policy.tokens
        there = (tokens.detach() != 0).double()
        lead = advantages(policy.probs)[:, None]
        gap = (tokens - reference).detach()
        slope = gap if corrected else 1 - (-gap).exp()
        weight = policy.probs[:, None] * there
        if per_response:
            weight = weight / there.sum(1, keepdim=True)
        return -(weight * (lead - beta * slope) * tokens).sum()

    return field


def pair_field(formula: Formula, rewards: Tensor, reference: Tensor, lengths: Tensor) -> Field:
    """The update of a preference loss on pairs of the policy's own, the better one chosen.

    Args:
        formula: loss of every ordered pair [chosen, rejected] of strings.
        rewards: [string], distinct.
        reference: log-probabilities [string].
        lengths: tokens [string].
    """
    right = (rewards[:, None] > rewards[None, :]).double()
    nothing = torch.zeros_like(right)

    def grid(values: Tensor) -> tuple[Tensor, Tensor]:
        square = values.expand(len(values), -1)
        return square.t(), square

    def field(policy: Policy) -> Tensor:
        weights = 2 * policy.probs[:, None] * policy.probs[None, :] * right
        table = PairTable(
            policy=grid(policy.logprobs),
            reference=grid(reference),
            lengths=grid(lengths),
            tails=(nothing, nothing),
            weights=weights,
        )
        return (weights * formula(table)).sum()

    return field


def best_of(n: int, probs: Tensor, rewards: Tensor) -> Tensor:
    """Probabilities [string] of the best of n, from the order of distinct rewards."""
    order = rewards.argsort()
    upto = probs[order].cumsum(0)
    found = torch.zeros_like(probs)
    found[order] = upto**n - (upto - probs[order]) ** n
    return found
