"""Both roads reach the optimum that is known in closed form, π*(y|x) ∝ π_ref(y|x)·exp(r(x,y)/β).

The world: vocabulary {EOS, 1, 2, 3}, responses of at most two tokens. EVERY string that this
permits is a response: EOS, three of a letter and EOS, nine of two letters that are cut at the
limit. Three prompts. The loops are the shipped ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import pytest
import torch
from tests.training.reached import Reached, reached
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from palate.data.trees import Forest, Response, Tree, plant
from palate.models.attention import Plan
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs
from palate.training.dpo import train_dpo
from palate.training.ppo import train_ppo
from palate.training.run import Result
from palate.training.seeding import seeded
from palate.training.settings import DPOSettings, PPOSettings

EOS, LETTERS = 0, (1, 2, 3)
# A prompt of one letter would not do: rotary attention over equal tokens gives equal rows, so
# "1" and "1 1" would have to share one next-token distribution.
PROMPTS = ((EOS, 1), (EOS, 2), (EOS, 3))
STRINGS = (
    Response((EOS,)),
    *(Response((a, EOS)) for a in LETTERS),
    *(Response((a, b), stopped=False) for a in LETTERS for b in LETTERS),
)
BETAS = (0.5, 2.0)


@dataclass
class World:
    roles: Roles
    rewards: Tensor  # [prompt, string]

    def logprobs(self, role: str) -> Tensor:
        """[prompt, string], float64."""
        forest = plant([Tree(prompt, STRINGS) for prompt in PROMPTS])
        with torch.no_grad():
            return response_logprobs(self.roles, role, forest).view(len(PROMPTS), -1).double()

    def optimum(self, beta: float) -> Tensor:
        return (self.logprobs("reference") + self.rewards.double() / beta).softmax(-1)


def make_world(seed: int = 0) -> World:
    config = LlamaConfig(
        vocab_size=1 + len(LETTERS), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=16,
        initializer_range=0.2, tie_word_embeddings=False, bos_token_id=None, eos_token_id=EOS,
        pad_token_id=None,
    )  # fmt: skip
    with seeded(seed):
        model = LlamaForCausalLM(config)
        rewards = torch.randn(len(PROMPTS), len(STRINGS))
    roles = Roles(model, PreTrainedTokenizerBase())
    roles.add_policy()
    roles.add_reference()
    return World(roles, rewards)


def every_ordered_pair(world: World) -> list[Tree]:
    """Exhaustive data: each ordered pair, weighted by its Bradley–Terry probability."""
    return [
        Tree(
            prompt,
            (STRINGS[i], STRINGS[j]),
            weight=float(torch.sigmoid(world.rewards[row, i] - world.rewards[row, j])),
        )
        for row, prompt in enumerate(PROMPTS)
        for i, j in permutations(range(len(STRINGS)), 2)
    ]


def dpo_reached(beta: float, steps: int) -> Reached:
    """DPO on exhaustive pairs."""
    world = make_world()
    pairs = every_ordered_pair(world)
    start = world.logprobs("policy").exp()
    settings = DPOSettings(
        beta=beta, learning_rate=3e-3, per_device_train_batch_size=len(pairs), max_steps=steps,
        lr_scheduler_type="cosine", use_peft=False, max_tokens_per_microbatch=100_000,
        max_grad_norm=0.0,
    )  # fmt: skip
    result = train_dpo(world.roles, pairs, settings)
    return _from_optimum(world, beta, start, result)


def ppo_reached(beta: float, *, steps: int, samples: int) -> Reached:
    """PPO against the true reward."""
    world = make_world()
    world.roles.add_value(shared=True)
    start = world.logprobs("policy").exp()
    settings = PPOSettings(
        kl_coef=beta, learning_rate=3e-3, per_device_train_batch_size=len(PROMPTS),
        num_samples_per_prompt=samples, max_steps=steps, use_peft=False, num_ppo_epochs=2,
        max_tokens_per_microbatch=100_000, missing_eos_penalty=0.0, max_new_tokens=2, lam=1.0,
        vf_coef=0.5, cliprange_value=10.0,
    )  # fmt: skip
    prompts = [Tree(prompt) for prompt in PROMPTS]
    result = train_ppo(world.roles, prompts, settings, reward=true_reward(world), end_tokens=(EOS,))
    return _from_optimum(world, beta, start, result)


def true_reward(world: World) -> Reward:
    """The world's rewards as a reward of sampled trees."""
    table: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {
        (prompt, string.tokens): float(world.rewards[row, column])
        for row, prompt in enumerate(PROMPTS)
        for column, string in enumerate(STRINGS)
    }

    def reward(trees: Sequence[Tree], forest: Forest, plan: Plan) -> Tensor:
        return torch.tensor([table[t.prompt, r.tokens] for t in trees for r in t.responses])

    return reward


def _from_optimum(world: World, beta: float, start: Tensor, result: Result) -> Reached:
    best = world.optimum(beta)
    trained = world.logprobs("policy").exp()
    return reached(trained=trained, own=best, optimum=best, start=start, result=result)


def test_every_string_is_a_response() -> None:
    world = make_world()
    assert len(STRINGS) == 13
    assert torch.allclose(
        world.logprobs("reference").exp().sum(-1), torch.ones(3, dtype=torch.float64), atol=1e-6
    )


def test_dpo_reaches_the_optimum_small() -> None:
    found = dpo_reached(2.0, steps=60)
    assert found.start > 0.1
    assert found.to_own < 0.02


def test_ppo_reaches_the_optimum_small() -> None:
    found = ppo_reached(2.0, steps=60, samples=64)
    assert found.start > 0.1
    assert found.to_own < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_dpo_reaches_the_optimum(beta: float) -> None:
    found = dpo_reached(beta, steps=150)
    assert found.start > 0.1
    assert found.to_own < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_ppo_reaches_the_optimum(beta: float) -> None:
    found = ppo_reached(beta, steps=150, samples=128)
    assert found.start > 0.1
    assert found.to_own < 0.05
