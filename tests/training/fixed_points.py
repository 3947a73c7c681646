"""Fixed points of preference losses where every string is known, without the code under test.

Each loss is written here again, as a function of the log-probabilities of a chosen and a rejected
string, and its population mean over exhaustive pairs is minimized over the whole simplex of a
prompt's strings by L-BFGS in float64: no model, no loop, no function of the package.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus


@dataclass(frozen=True)
class PairTable:
    """Numbers of every ordered pair of strings to one prompt: (of the chosen, of the rejected).

    `tails` are log-ratios of what lies beyond the length of the other string; `weights` say how
    often a pair comes up.
    """

    policy: tuple[Tensor, Tensor]
    reference: tuple[Tensor, Tensor]
    lengths: tuple[Tensor, Tensor]
    tails: tuple[Tensor, Tensor]
    weights: Tensor

    @property
    def chosen(self) -> Tensor:
        """Log-ratio of the chosen string."""
        return self.policy[0] - self.reference[0]

    @property
    def rejected(self) -> Tensor:
        """Log-ratio of the rejected string."""
        return self.policy[1] - self.reference[1]

    @property
    def lead(self) -> Tensor:
        """Log-ratio margin."""
        return self.chosen - self.rejected

    @property
    def mean_lead(self) -> Tensor:
        """The same of log-ratios per token."""
        return self.chosen / self.lengths[0] - self.rejected / self.lengths[1]

    @property
    def nll(self) -> Tensor:
        """Negative log-likelihood of the chosen string over the mean chosen length."""
        mean = (self.weights * self.lengths[0]).sum() / self.weights.sum()
        return -self.policy[0] / mean


Formula = Callable[[PairTable], Tensor]


def minimum(
    formula: Formula,
    reference: Tensor,
    lengths: Tensor,
    weights: Tensor,
    *,
    start: Tensor,
    families: Tensor | None = None,
) -> Tensor:
    """Log-probabilities [string] of the minimizer for one prompt.

    Args:
        formula: loss of every ordered pair [chosen, rejected] of strings.
        reference: log-probabilities of the strings.
        lengths: their tokens.
        weights: [chosen, rejected], how often a pair comes up; 0 on the diagonal.
        start: logits to start from.
        families: the first token of each string, where the formula looks at tails.
    """
    if families is None:
        families = torch.zeros(len(reference))
    kin = families[:, None] == families[None, :]

    def tail(logprobs: Tensor) -> Tensor:
        """Log-probability of a string given its first token."""
        same = torch.where(kin, logprobs[None, :], -torch.inf)
        return logprobs - same.logsumexp(1)

    logits = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=3000, tolerance_grad=1e-12, tolerance_change=1e-16,
        line_search_fn="strong_wolfe", history_size=50,
    )  # fmt: skip

    def grid(values: Tensor) -> tuple[Tensor, Tensor]:
        square = values.expand(len(values), -1)
        return square.t(), square

    def objective() -> Tensor:
        optimizer.zero_grad()
        policy = logits.log_softmax(0)
        longer = grid(lengths)[0] - grid(lengths)[1]
        ratio = grid(tail(policy) - tail(reference))
        table = PairTable(
            policy=grid(policy),
            reference=grid(reference),
            lengths=grid(lengths),
            tails=(ratio[0] * (longer > 0), ratio[1] * (longer < 0)),
            weights=weights,
        )
        loss = (weights * formula(table)).sum() / weights.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    return logits.detach().log_softmax(0)


def transport_minimum(
    reference: Tensor, rows: Tensor, *, beta: float, paired: bool, start: Tensor
) -> Tensor:
    """Log-probabilities [prompt, string] of a minimum of AOT over all rows as one step.

    Args:
        reference: log-probabilities [prompt, string].
        rows: [row, 3]: prompt, chosen string, rejected string; each counts once.
        beta: β.
        paired: margins against the reference's margins; else log-ratios of chosen strings against
            those of rejected ones.
        start: logits [prompt, string] to start from.
    """
    prompt, chosen, rejected = rows.unbind(1)
    logits = start.clone().requires_grad_()

    def loss() -> Tensor:
        policy = logits.log_softmax(-1)
        if paired:
            above = policy[prompt, chosen] - policy[prompt, rejected]
            below = reference[prompt, chosen] - reference[prompt, rejected]
        else:
            ratio = policy - reference
            above, below = ratio[prompt, chosen], ratio[prompt, rejected]
        return softplus(-beta * (above.sort().values - below.sort().values)).mean()

    # Kinks where two quantiles change places: small steps of Adam, smaller and smaller.
    optimizer = torch.optim.Adam([logits], lr=3e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4000)
    for _ in range(4000):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return logits.detach().log_softmax(-1)


def balanced(
    solve: Callable[[float], Tensor], measure: Callable[[Tensor], float], *, rounds: int = 60
) -> Tensor:
    """A minimum whose own measurement is the number that it was minimized under.

    Losses hold such a number (KTO's point of reference, BCO's threshold) fixed in each step, so
    their fixed point is an equilibrium and not a minimum.

    Args:
        solve: a number → log-probabilities [prompt, string] of the minimum under it.
        measure: log-probabilities → the number.
        rounds: of going back and forth.
    """
    number = 0.0
    for _ in range(rounds):
        found = solve(number)
        measured = measure(found)
        if abs(measured - number) < 1e-9:
            return found
        number = 0.5 * (number + measured)
    raise AssertionError(f"no equilibrium after {rounds} rounds: {number} is answered {measured}")


def _nll(margin: Tensor) -> Tensor:
    return softplus(-margin)


def _log_odds(logprob: Tensor) -> Tensor:
    return logprob - torch.log1p(-logprob.exp())


def formulas(beta: float, number: float = 0.0) -> dict[str, Formula]:
    """Each loss once more, at β and at the other settings that the tests take.

    Args:
        beta: β.
        number: KTO's point of reference, BCO's threshold.
    """
    b, e, z = beta, 0.1, number
    return {
        "sigmoid": lambda t: _nll(b * t.lead),
        "smoothed": lambda t: (1 - e) * _nll(b * t.lead) + e * _nll(-b * t.lead),
        "robust": lambda t: ((1 - e) * _nll(b * t.lead) - e * _nll(-b * t.lead)) / (1 - 2 * e),
        "exo_pair": lambda t: (
            torch.sigmoid(b * t.lead) * (logsigmoid(b * t.lead) - torch.tensor(1 - e).log())
            + torch.sigmoid(-b * t.lead) * (logsigmoid(-b * t.lead) - torch.tensor(e).log())
        ),
        "hinge": lambda t: (1 - b * t.lead).clamp(min=0),
        "ipo": lambda t: (t.mean_lead - 1 / (2 * b)) ** 2,
        "sigmoid_norm": lambda t: _nll(b * t.mean_lead),
        "discopop": lambda t: (
            torch.sigmoid(-b * t.lead) * _nll(b * t.lead)
            + torch.sigmoid(b * t.lead) * torch.exp(-b * t.lead)
        ),
        "nca_pair": lambda t: (
            _nll(b * t.chosen) + _nll(-b * t.chosen) / 2 + _nll(-b * t.rejected) / 2
        ),
        "bco_pair": lambda t: _nll(b * t.chosen) + _nll(-b * t.rejected),
        "sppo_hard": lambda t: (t.chosen - 0.5 / b) ** 2 + (t.rejected + 0.5 / b) ** 2,
        "apo_zero": lambda t: 1 - torch.sigmoid(b * t.chosen) + torch.sigmoid(b * t.rejected),
        "apo_down+sft": lambda t: (
            torch.sigmoid(b * t.chosen) + 1 - torch.sigmoid(b * t.lead) + 2 * t.nll
        ),
        "weighted": lambda t: _nll(b * t.lead),
        "ld_alpha": lambda t: _nll(b * (t.lead - 0.7 * (t.tails[0] - t.tails[1]))),
        "kto": lambda t: (
            (torch.sigmoid(b * (z - t.chosen)) + torch.sigmoid(b * (t.rejected - z))) / 2
        ),
        "apo_zero_unpaired": lambda t: (
            (torch.sigmoid(-b * t.chosen) + torch.sigmoid(b * t.rejected)) / 2
        ),
        "bco": lambda t: (_nll(b * t.chosen - z) + _nll(z - b * t.rejected)) / 2,
        "sft": lambda t: t.nll,
        "sigmoid+sft": lambda t: _nll(b * t.lead) + 0.5 * t.nll,
        "cpo": lambda t: _nll(b * (t.policy[0] - t.policy[1])) + t.nll,
        "simpo": lambda t: _nll(
            b * (t.policy[0] / t.lengths[0] - t.policy[1] / t.lengths[1]) - 0.5
        ),
        "orpo": lambda t: (
            b * _nll(_log_odds(t.policy[0] / t.lengths[0]) - _log_odds(t.policy[1] / t.lengths[1]))
            + t.nll
        ),
        "forward_kl": lambda t: _nll(b * ((-t.rejected).exp() - (-t.chosen).exp())),
        "js_divergence": lambda t: _nll(b * (logsigmoid(t.chosen) - logsigmoid(t.rejected))),
        "alpha_divergence": lambda t: _nll(
            2 * b * ((-t.rejected / 2).exp() - (-t.chosen / 2).exp())
        ),
    }
