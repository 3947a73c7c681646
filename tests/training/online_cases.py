"""Online methods on the enumerable world of `test_known_optimum.py`, each with its fixed point.

Fixed points are computed in `online_points.py` and `fixed_points.py`, by other code.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from tests.training.fixed_points import formulas, minimum
from tests.training.online_points import (
    Policy,
    best_of,
    grpo_field,
    pair_field,
    stationary,
    table_of,
)
from tests.training.reached import Reached, reached
from tests.training.test_known_optimum import (
    EOS,
    PROMPTS,
    STRINGS,
    World,
    make_world,
    true_reward,
)
from torch import Tensor

from palate.data.trees import Tree
from palate.models.moving import add_moving_reference, frozen_twin
from palate.training.online import train_online
from palate.training.online_settings import OnlineSettings

TOKENS = tuple(string.tokens for string in STRINGS)
LENGTHS = torch.tensor([float(len(tokens)) for tokens in TOKENS], dtype=torch.float64)
# A world and a case → probabilities [prompt, string].
Target = Callable[[World, "OnlineCase"], Tensor]


@dataclass(frozen=True)
class OnlineCase:
    """One method: its settings, its fixed point, and how long it is trained.

    Attributes:
        name: of the row.
        target: computes the fixed point.
        settings: what differs from the defaults.
        beta: kl_coef.
        size: responses a prompt.
        prompts: prompts a step; each of the world's comes equally often.
        steps: of training.
        bound: total variation that training must come within.
        learning_rate: at its peak.
    """

    name: str
    target: Target
    settings: dict[str, Any] = field(default_factory=dict)
    beta: float = 2.0
    size: int = 4
    prompts: int = 192
    steps: int = 150
    bound: float = 0.03
    learning_rate: float = 3e-3

    def __str__(self) -> str:
        return self.name

    @property
    def method(self) -> str:
        """The method's name."""
        return self.name.split(",")[0]


def optimum(world: World, case: OnlineCase) -> Tensor:
    """π* at the case's β."""
    return world.optimum(case.beta)


def by_prompt(solve: Callable[[Tensor, Tensor], Tensor], world: World) -> Tensor:
    """Probabilities from (log-probabilities of the reference, rewards) of each prompt."""
    reference, rewards = world.logprobs("reference"), world.rewards.double()
    rows = [solve(reference[row], rewards[row]) for row in range(len(PROMPTS))]
    return torch.stack(rows).exp()


def grpo_point(world: World, case: OnlineCase) -> Tensor:
    """Where GRPO's mean update vanishes, the same from two starts."""

    def solve(reference: Tensor, rewards: Tensor) -> Tensor:
        update = grpo_field(
            rewards, Policy(table_of(reference, TOKENS), TOKENS).tokens.detach(),
            beta=case.beta, size=case.size, scale=case.settings.get("scale_rewards", "group"),
            per_response=case.settings.get("loss_type") == "grpo",
            corrected=case.settings.get("use_bias_correction_kl", True),
        )  # fmt: skip
        return the_same_from(update, reference, reference + rewards / case.beta)

    return by_prompt(solve, world)


def online_pairs_point(world: World, case: OnlineCase) -> Tensor:
    """Where the mean update on pairs of the policy's own, with certain labels, vanishes."""
    formula = formulas(case.beta)[case.settings.get("formula", "")]

    def solve(reference: Tensor, rewards: Tensor) -> Tensor:
        # From the reference, where training starts: ipo's update vanishes elsewhere too.
        update = pair_field(formula, rewards, reference, LENGTHS)
        return stationary(update, reference, TOKENS)

    return by_prompt(solve, world)


def the_same_from(update: Callable[[Policy], Tensor], one: Tensor, two: Tensor) -> Tensor:
    """The fixed point that is reached from either start."""
    found, again = (stationary(update, start.log_softmax(0), TOKENS) for start in (one, two))
    assert (found.exp() - again.exp()).abs().sum() < 1e-6, "there is more than one fixed point"
    return found


def best_of_n_point(world: World, case: OnlineCase) -> Tensor:
    """The exact distribution of the best of n of the start."""
    return by_prompt(
        lambda reference, rewards: best_of(case.size, reference.exp(), rewards).log(), world
    )


def tilted_each_round(world: World, case: OnlineCase) -> Tensor:
    """π_ref · exp(R · r / β): each round's π* is the next round's reference."""
    return world.optimum(case.beta / case.settings["num_rounds"])


def ipo_each_round(world: World, case: OnlineCase) -> Tensor:
    """Each round's minimum of IPO over pairs of the last round's policy, tied to the start."""
    formula = formulas(case.beta)["ipo"]

    def solve(reference: Tensor, rewards: Tensor) -> Tensor:
        policy = reference
        for _ in range(case.settings["num_rounds"]):
            probs = policy.exp()
            right = (rewards[:, None] > rewards[None, :]).double()
            weights = 2 * probs[:, None] * probs[None, :] * right
            policy = minimum(formula, reference, LENGTHS, weights, start=policy)
        return policy

    return by_prompt(solve, world)


DRAWN = {"label_temperature": 1.0}
CASES = (
    OnlineCase("rloo", optimum),
    OnlineCase("rloo, two passes", optimum, {"num_iterations": 2, "num_mini_batches": 2}, steps=60),
    OnlineCase("reinforce++", optimum),
    OnlineCase("grpo", grpo_point),
    OnlineCase(
        "grpo, loss_type grpo, KL uncorrected", grpo_point,
        {"loss_type": "grpo", "use_bias_correction_kl": False},
    ),
    OnlineCase(
        "grpo, loss_type dr_grpo, scale_rewards none", grpo_point,
        {"loss_type": "dr_grpo", "scale_rewards": "none"},
    ),
    OnlineCase(
        "online-dpo, labels drawn", optimum, DRAWN, size=2, prompts=384, steps=200, bound=0.05
    ),
    OnlineCase(
        "online-dpo, label_smoothing 0.1", online_pairs_point,
        {"label_smoothing": 0.1, "formula": "smoothed"}, size=2, prompts=384, bound=0.05,
    ),
    OnlineCase(
        "online-dpo, loss_type ipo", online_pairs_point, {"loss_type": "ipo", "formula": "ipo"},
        size=2, prompts=384, beta=0.5, bound=0.05,
    ),
    OnlineCase("best-of-n, n = 4", best_of_n_point, prompts=384),
    OnlineCase(
        "iterated-dpo, labels drawn, reference start", optimum, {**DRAWN, "num_rounds": 2},
        size=2, prompts=384, bound=0.05,
    ),
    OnlineCase(
        "iterated-dpo, labels drawn, reference last-round", tilted_each_round,
        {**DRAWN, "num_rounds": 2, "round_reference": "last-round"}, size=2, prompts=384, beta=4.0,
        steps=300, bound=0.05, learning_rate=1.5e-3,
    ),
    OnlineCase(
        "iterated-dpo, loss_type ipo, reference start", ipo_each_round,
        {"loss_type": "ipo", "num_rounds": 2}, size=2, prompts=384, beta=0.5, bound=0.05,
    ),
)  # fmt: skip
QUICK = OnlineCase("rloo", optimum, prompts=48, steps=60, bound=0.05)


def reach(case: OnlineCase) -> Reached:
    """Train by the shipped loop and compare."""
    world = make_world()
    if case.settings.get("round_reference") == "last-round":
        world.roles.drop("reference")
        add_moving_reference(world.roles, frozen_twin(world.roles))
    start = world.logprobs("policy").exp()
    own, best = case.target(world, case), world.optimum(case.beta)
    own_settings = {name: v for name, v in case.settings.items() if name != "formula"}
    settings = OnlineSettings.from_mapping(
        {
            "method": case.method, "kl_coef": case.beta, "learning_rate": case.learning_rate,
            "per_device_train_batch_size": case.prompts, "num_samples_per_prompt": case.size,
            "max_steps": case.steps, "use_peft": False, "max_tokens_per_microbatch": 100_000,
            "missing_eos_penalty": 0.0, "max_new_tokens": 2, "lr_scheduler_type": "cosine",
            "max_grad_norm": 0.0, **own_settings,
        }
    )  # fmt: skip
    prompts = [Tree(prompt) for prompt in PROMPTS] * (case.prompts // len(PROMPTS))
    result = train_online(
        world.roles, prompts, settings, reward=true_reward(world), end_tokens=(EOS,)
    )
    trained = world.logprobs("policy").exp()
    return reached(trained=trained, own=own, optimum=best, start=start, result=result)
