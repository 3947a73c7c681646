"""Every loss of the DPO family reaches the fixed point of its OWN population objective.

The world is that of `test_known_optimum.py`; the fixed points are computed in `fixed_points.py`
by other code. Where a loss's fixed point lies beside π* is printed: only sigmoid, and robust on
labels that are noisy as it expects, are to reach π* itself.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from tests.training.fixed_points import balanced, formulas, minimum, transport_minimum
from tests.training.reached import Reached, reached, variation
from tests.training.test_known_optimum import (
    PROMPTS,
    STRINGS,
    World,
    every_ordered_pair,
    make_world,
)
from torch import Tensor

from palate.data.trees import Tree
from palate.training.dpo import train_dpo
from palate.training.settings import DPOSettings

NOISE = 0.1
BOUND = 0.02
LENGTHS = torch.tensor([float(len(string.tokens)) for string in STRINGS], dtype=torch.float64)


@dataclass(frozen=True)
class Case:
    """One loss: its settings, its formula in `fixed_points.py`, and how long it is trained."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    beta: float = 2.0
    steps: int = 150
    learning_rate: float = 3e-3
    noise: float = 0.0
    bound: float = BOUND

    def __str__(self) -> str:
        return self.name


CASES = (
    Case("sigmoid"),
    Case("smoothed", {"loss_type": "sigmoid", "label_smoothing": NOISE}),
    Case("robust", {"label_smoothing": NOISE}, noise=NOISE),
    Case("exo_pair", {"label_smoothing": NOISE}),
    Case("hinge", steps=400),
    Case("ipo", beta=0.5, learning_rate=1e-2),
    Case("sigmoid_norm"),
    Case("discopop", {"discopop_tau": 1.0}),
    Case("nca_pair"),
    Case("bco_pair"),
    Case("sppo_hard", beta=0.5, learning_rate=1e-2),
    Case("apo_zero", beta=0.5, learning_rate=1e-2),
    Case("apo_down+sft", {"loss_type": "apo_down,sft", "loss_weights": "1,2"}),
    Case("sft"),
    Case("sigmoid+sft", {"loss_type": "sigmoid,sft", "loss_weights": "1,0.5"}),
    Case("cpo"),
    Case("simpo"),
    Case("orpo"),
    Case("forward_kl", {"loss_type": "sigmoid", "f_divergence_type": "forward_kl"}, steps=400),
    Case(
        "js_divergence", {"loss_type": "sigmoid", "f_divergence_type": "js_divergence"}, steps=400
    ),
    Case("alpha_divergence", {"loss_type": "sigmoid", "f_divergence_type": "alpha_divergence"}),
    Case("weighted", {"loss_type": "sigmoid", "use_weighting": True}),
    Case("ld_alpha", {"loss_type": "sigmoid", "ld_alpha": 0.3}),
    Case("kto", beta=0.5, learning_rate=1e-2),
    Case("apo_zero_unpaired", beta=0.5, learning_rate=1e-2),
    Case("bco"),
    # A loss of sorted rows has kinks where two change places, which no step size settles on.
    Case("aot", beta=0.5, learning_rate=1e-2, bound=0.03),
)
QUICK = Case("ipo", beta=0.5, steps=60, learning_rate=1e-2)
# The first token of each string, by which tails are conditioned.
FAMILIES = torch.tensor([string.tokens[0] for string in STRINGS])


def pair_weights(world: World, noise: float) -> Tensor:
    """How often each ordered pair comes up: [prompt, chosen, rejected], 0 on the diagonal."""
    rewards = world.rewards.double()
    weights = torch.sigmoid(rewards[:, :, None] - rewards[:, None, :])
    weights = (1 - noise) * weights + noise * (1 - weights)
    return weights * (1 - torch.eye(len(STRINGS), dtype=torch.float64))


def fixed_point(world: World, case: Case) -> Tensor:
    """Probabilities [prompt, string] that the case's loss is least at; checked for uniqueness."""
    reference, weights = world.logprobs("reference"), pair_weights(world, case.noise)
    if case.name == "aot":
        here, there = (transport(world, case.beta, start) for start in (reference, 0 * reference))
        assert variation(here, there) < 0.005, "the loss has more than one minimum"
        return here
    if case.name == "hinge":
        rows = [hinge_point(reference[row], weights[row], case.beta) for row in range(len(PROMPTS))]
        return torch.stack(rows)
    if case.name in ("kto", "bco"):
        measure = strangers_ratio if case.name == "kto" else midpoint
        return balanced(
            lambda number: minima(world, case, number),
            lambda found: measure(found - reference, weights, case.beta),
        ).exp()
    return minima(world, case).exp()


def transport(world: World, beta: float, start: Tensor, *, paired: bool = True) -> Tensor:
    """Probabilities [prompt, string] of a minimum of AOT over `repeated_rows`."""
    reference = world.logprobs("reference")
    found = transport_minimum(
        reference, torch.tensor(repeated_rows(world)), beta=beta, paired=paired, start=start
    )
    return found.exp()


def repeated_rows(world: World) -> list[tuple[int, int, int]]:
    """Prompt, chosen, rejected: each pair as often as three times its probability; no weights."""
    weights = pair_weights(world, 0.0)
    return [
        (p, i, j)
        for p, i, j in product(range(len(PROMPTS)), range(len(STRINGS)), range(len(STRINGS)))
        for _ in range(round(3 * float(weights[p, i, j])))
    ]


def minima(world: World, case: Case, number: float = 0.0) -> Tensor:
    """Log-probabilities [prompt, string] of the minimum, the same from two starts."""
    reference, weights = world.logprobs("reference"), pair_weights(world, case.noise)
    formula = formulas(case.beta, number)[case.name]
    found = []
    for row in range(len(PROMPTS)):
        here, there = (
            minimum(formula, reference[row], LENGTHS, weights[row], start=start, families=FAMILIES)
            for start in (reference[row], torch.zeros(len(STRINGS), dtype=torch.float64))
        )
        assert variation(here.exp(), there.exp()) < 1e-4, "the loss has more than one minimum"
        found.append(here)
    return torch.stack(found)


def strangers_ratio(log_ratio: Tensor, weights: Tensor, beta: float) -> float:
    """KTO's point of reference: each prompt with the strings of the row half the data away."""
    n = len(STRINGS)
    rows = [(p, i, j) for p in range(len(PROMPTS)) for i in range(n) for j in range(n) if i != j]
    total = 0.0
    for place, (prompt, i, j) in enumerate(rows):
        _, one, two = rows[(place + len(rows) // 2) % len(rows)]
        mean = (log_ratio[prompt, one] + log_ratio[prompt, two]) / 2
        total += float(weights[prompt, i, j] * mean)
    return max(0.0, total / float(weights.sum()))


def midpoint(log_ratio: Tensor, weights: Tensor, beta: float) -> float:
    """BCO's threshold: midway between the labels' mean rewards."""
    chosen = (weights.sum(2) * log_ratio).sum() / weights.sum()
    rejected = (weights.sum(1) * log_ratio).sum() / weights.sum()
    return beta * float(chosen + rejected) / 2


def hinge_point(reference: Tensor, weights: Tensor, beta: float) -> Tensor:
    """The hinge loss is piecewise linear in log-ratios: a linear program, solved as one."""
    n = len(reference)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    cost = np.concatenate([np.zeros(n), [float(weights[i, j]) for i, j in pairs]])
    # slack ≥ 1 − β(u_i − u_j), slack ≥ 0
    rows = np.zeros((len(pairs), n + len(pairs)))
    for place, (i, j) in enumerate(pairs):
        rows[place, [i, j, n + place]] = [-beta, beta, -1.0]
    # Log-ratios are free up to a constant, so that the first may be 0.
    bounds = [(0.0, 0.0), *[(-np.inf, np.inf)] * (n - 1), *[(0.0, np.inf)] * len(pairs)]
    solved = linprog(cost, A_ub=rows, b_ub=-np.ones(len(pairs)), bounds=bounds)
    assert solved.x is not None
    return (reference + torch.from_numpy(solved.x[:n])).softmax(0)


def noisy_pairs(world: World, noise: float) -> list[Tree]:
    """Exhaustive pairs, of which a share of labels is flipped."""
    return [
        Tree(
            tree.prompt,
            tree.responses,
            weight=(1 - noise) * tree.weight + noise * (1 - tree.weight),
        )
        for tree in every_ordered_pair(world)
    ]


def distances(case: Case) -> Reached:
    """Train by the shipped loop and compare."""
    world = make_world()
    target = fixed_point(world, case)
    pairs = noisy_pairs(world, case.noise)
    if case.name == "aot":
        pairs = [Tree(PROMPTS[p], (STRINGS[i], STRINGS[j])) for p, i, j in repeated_rows(world)]
    settings = DPOSettings(
        **{"loss_type": case.name, **case.settings}, beta=case.beta,
        learning_rate=case.learning_rate,
        per_device_train_batch_size=len(pairs), max_steps=case.steps, lr_scheduler_type="cosine",
        use_peft=False, max_tokens_per_microbatch=100_000, max_grad_norm=0.0,
    )  # fmt: skip
    start = world.logprobs("policy").exp()
    result = train_dpo(world.roles, pairs, settings)
    return reached(
        trained=world.logprobs("policy").exp(), own=target, optimum=world.optimum(case.beta),
        start=start, result=result,
    )  # fmt: skip


def test_a_loss_reaches_its_own_fixed_point_small() -> None:
    found = distances(QUICK)
    assert found.start > 0.1
    assert found.own_to_optimum > 0.1
    assert found.to_own < BOUND


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_loss_reaches_its_own_fixed_point(case: Case) -> None:
    found = distances(case)
    print(
        f"{case.name} β = {case.beta}: total variation to its fixed point {found.to_own:.4f} "
        f"(start {found.start:.2f}); fixed point to π* {found.own_to_optimum:.4f}"
    )
    assert found.start > 0.1
    assert found.to_own < case.bound


@pytest.mark.slow
def test_aot_unpaired_has_more_than_one_minimum() -> None:
    """So it has no row: where training ends depends on where it starts."""
    world = make_world()
    reference = world.logprobs("reference")
    here, there = (
        transport(world, 0.5, start, paired=False) for start in (reference, 0 * reference)
    )
    print(f"aot_unpaired β = 0.5: minima from two starts lie {variation(here, there):.2f} apart")
    assert variation(here, there) > 0.5
