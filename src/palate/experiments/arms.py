"""Arms of a comparison, and what is measured on each.

Samples on the common prompts, their rewards, and the KL to the common SFT model.

Axes: `prompt`, `sample`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from palate.data.records import Prompt
from palate.data.render import Renderer
from palate.data.trees import Tree, pack, plant
from palate.experiments.cost import Cost
from palate.experiments.prepare import load_reward
from palate.models.attention import plan_forest
from palate.models.load import load
from palate.models.roles import Roles
from palate.models.sampling import Sample, sample
from palate.models.scoring import exact_kl, rewards, token_logprobs_of
from palate.objectives.divergence import kl_k1, kl_k3

Kind = Literal["sft", "dpo", "ppo", "online", "best_of_n", "other"]
Road = Literal["sft", "dpo", "rlhf", "yardstick"]
Judge = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
Grid = NDArray[np.float64]


@dataclass(frozen=True)
class Decoding:
    """How every arm is sampled: alike, or the comparison is of decoders."""

    num_samples: int = 2
    max_new_tokens: int = 64
    temperature: float = 1.0
    seed: int = 17


@dataclass(frozen=True)
class Arm:
    """One way to train, with the model that each seed gave.

    Attributes:
        name: key in results.json.
        kind: what trained it; "other" where that is not known.
        road: which side of the question it is on.
        label: what people read.
        models: seed → model folder; None is the SFT model itself.
        rewards: seed → reward model folder that scores it (the proxy).
        settings: what sets it apart.
        cost: the bill of its own stages (its first seed's); None where it was not measured.
        amortized: the bill with a shared reward model divided among the arms that used it.
    """

    name: str
    kind: Kind
    road: Road
    label: str
    models: Mapping[int, Path | None]
    rewards: Mapping[int, Path] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    cost: Cost | None = None
    amortized: Cost | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """What one model did on the common prompts.

    Attributes:
        texts: [prompt][sample].
        gold: what is wanted; None without a gold reward.
        proxy: what the reward model says; None without one.
        kl: exact KL(policy‖SFT) in nats a response; kl_k1, kl_k3 its estimates.
        length: tokens.
        stopped: 1 where the response ended by itself.
    """

    texts: list[list[str]]
    gold: Grid | None
    proxy: Grid | None
    kl: Grid
    kl_k1: Grid | None
    kl_k3: Grid | None
    length: Grid
    stopped: Grid


def arm_roles(base: Path, model: Path | None, reward: Path | None) -> Roles:
    """Policy, common reference and proxy on one base where they are adapters of it."""
    start = load(base)
    if model is not None and not (model / "adapter_config.json").exists():
        roles = Roles(load(model).model, start.tokenizer)
        roles.add_policy_as_is()
        roles.add_reference(start.model)
        if reward is not None:
            # An adapter of the SFT base does not fit this base: it is scored on its own.
            roles.add_frozen_reward(_reward_alone(base, reward))
        return roles
    roles = Roles(start.model, start.tokenizer)
    if reward is not None:
        # Before the policy: a policy without an adapter would pass for one that is to be trained.
        load_reward(roles, reward)
    roles.add_policy_as_is(adapter=model or start.adapter)
    roles.add_start_reference(adapter=start.adapter)
    return roles


def _reward_alone(base: Path, reward: Path) -> Roles:
    start = load(base)
    roles = Roles(start.model, start.tokenizer)
    load_reward(roles, reward)
    return roles


@torch.no_grad()
def measure(
    roles: Roles,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    advance: Callable[[int], None] = lambda _: None,
    max_tokens: int = 8192,
) -> Measured:
    """Sample the policy on the prompts and score the samples; `judged` adds gold rewards."""
    renderer = Renderer(roles.tokenizer)
    asked = [renderer.prompt(prompt) for prompt in prompts]
    drawn = draw(roles, asked, decoding, renderer.end_token_ids, advance)
    found: dict[str, list[torch.Tensor]] = {"kl": [], "kl_k1": [], "kl_k3": [], "proxy": []}
    trees = [
        Tree(tokens, tuple(one.response() for one in some))
        for tokens, some in zip(asked, drawn, strict=True)
    ]
    for indices in pack(trees, max_tokens=max_tokens):
        forest = plant([trees[i] for i in indices], device=roles.device)
        plan = plan_forest(forest)
        at = decoding.temperature or 1.0
        policy = token_logprobs_of(roles, "policy", forest, plan=plan, temperature=at)
        reference = token_logprobs_of(roles, "reference", forest, plan=plan, temperature=at)
        found["kl_k1"].append(forest.sums(kl_k1(logprobs=policy, reference_logprobs=reference)))
        found["kl_k3"].append(forest.sums(kl_k3(logprobs=policy, reference_logprobs=reference)))
        found["kl"].append(exact_kl(roles, forest, temperature=at))
        if "reward" in roles:
            found["proxy"].append(rewards(roles, forest, plan=plan))

    def grid(values: Sequence[torch.Tensor]) -> Grid:
        flat = torch.cat(list(values)).double().cpu().numpy()
        return flat.reshape(len(prompts), decoding.num_samples)

    texts = [
        [renderer.response_text(prompt.prompt, one.tokens) for one in some]
        for prompt, some in zip(prompts, drawn, strict=True)
    ]
    return Measured(
        texts=texts,
        gold=None,
        proxy=grid(found["proxy"]) if found["proxy"] else None,
        kl=grid(found["kl"]),
        kl_k1=grid(found["kl_k1"]),
        kl_k3=grid(found["kl_k3"]),
        length=np.array([[len(one.tokens) for one in some] for some in drawn], dtype=np.float64),
        stopped=np.array([[one.stopped for one in some] for some in drawn], dtype=np.float64),
    )


def judged(measured: Measured, prompts: Sequence[Prompt], gold: Judge | None) -> Measured:
    """The same with the gold rewards of its texts."""
    if gold is None:
        return measured
    return replace(measured, gold=judge_grid(gold, prompts, measured.texts))


def draw(
    roles: Roles,
    prompts: Sequence[tuple[int, ...]],
    decoding: Decoding,
    end_tokens: Collection[int],
    advance: Callable[[int], None] = lambda _: None,
) -> list[list[Sample]]:
    """The policy's samples under the comparison's decoding."""
    return sample(
        roles,
        "policy",
        prompts,
        num_samples=decoding.num_samples,
        max_new_tokens=decoding.max_new_tokens,
        end_tokens=end_tokens,
        temperature=decoding.temperature,
        seed=decoding.seed,
        advance=advance,
    )


def judge_grid(judge: Judge, prompts: Sequence[Prompt], texts: Sequence[Sequence[str]]) -> Grid:
    """Rewards of a function of texts, [prompt, sample]."""
    asked = [as_text(prompt) for prompt, some in zip(prompts, texts, strict=True) for _ in some]
    answers = [text for some in texts for text in some]
    values: Grid = np.asarray(judge(asked, answers), dtype=np.float64)
    grid: Grid = values.reshape(len(texts), -1)
    return grid


def as_text(prompt: Prompt) -> str:
    """A prompt as one string, for judges of texts and for people."""
    if isinstance(prompt.prompt, str):
        return prompt.prompt
    return "\n".join(f"{turn.role}: {turn.content}" for turn in prompt.prompt)


def best_of_n(
    drawn: Sequence[Sequence[Sample]], prompts: Sequence[Prompt], renderer: Renderer, *, gold: Judge
) -> Measured:
    """The sample of each prompt that `gold` likes best, as an arm of its own; unscored otherwise.

    Its KL to the model that was sampled is at most log n − (n − 1)/n nats (Beirami et al. 2024,
    arXiv 2401.01879); the bound stands in for the KL.
    """
    texts = [
        [renderer.response_text(prompt.prompt, one.tokens) for one in some]
        for prompt, some in zip(prompts, drawn, strict=True)
    ]
    rewards_by_sample = judge_grid(gold, prompts, texts)
    best = [int(column) for column in rewards_by_sample.argmax(1)]
    picked = [some[place] for some, place in zip(drawn, best, strict=True)]
    n = rewards_by_sample.shape[1]
    return Measured(
        texts=[[some[place]] for some, place in zip(texts, best, strict=True)],
        gold=rewards_by_sample.max(1, keepdims=True),
        proxy=None,
        kl=np.full((len(prompts), 1), np.log(n) - (n - 1) / n),
        kl_k1=None,
        kl_k3=None,
        length=np.array([[len(one.tokens)] for one in picked], dtype=np.float64),
        stopped=np.array([[one.stopped] for one in picked], dtype=np.float64),
    )
