"""A rollout: responses of the policy as it is now, scored by every role, ready to learn from.

Old policy and reference log-probabilities, values and rewards come from one forest a micro-batch,
through the functions that training uses, at the temperature that was sampled with.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.models.attention import ForestAttention, plan_forest
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.models.sampling import sample
from palate.models.scoring import hidden_rows, logprobs_from, token_logprobs_of, values_from
from palate.objectives.divergence import kl_k1, kl_k3
from palate.objectives.masked import masked_whiten
from palate.objectives.returns import kl_shaped_rewards, response_gae
from palate.training.settings import PPOSettings


@dataclass(frozen=True)
class Part:
    """What one micro-batch learns from; quantities are per response token [U]."""

    forest: Forest
    plan: ForestAttention
    old_logprobs: Float[Tensor, " target"]
    old_values: Float[Tensor, " target"]
    advantages: Float[Tensor, " target"]
    returns: Float[Tensor, " target"]


class Rollout:
    """Sampled trees with their numbers; `parts` deals them out for an update.

    `scores` and the metrics are as the reward gave them, whitened or not: only what is learned
    from is whitened.
    """

    def __init__(
        self,
        trees: Sequence[Tree],
        *,
        logprobs: Tensor,
        reference_logprobs: Tensor,
        values: Tensor,
        scores: Tensor,
        settings: PPOSettings,
    ) -> None:
        self.trees = trees
        whole = plant(trees, device=logprobs.device)
        self.scores = scores
        learned = scores
        if settings.whiten_rewards:
            spread = scores.std(correction=0)
            learned = scores / torch.where(spread > 0, spread, 1.0)
        mask = whole.response_mask
        shaped = kl_shaped_rewards(
            scores=learned,
            logprobs=whole.padded(logprobs),
            reference_logprobs=whole.padded(reference_logprobs),
            response_mask=mask,
            kl_coef=settings.kl_coef,
            missing_eos_penalty=settings.missing_eos_penalty,
            stopped=whole.stopped,
        )
        estimated = response_gae(
            rewards=shaped,
            values=whole.padded(values),
            response_mask=mask,
            gamma=settings.gamma,
            lam=settings.lam,
        )
        advantages = estimated.advantages
        if settings.whiten_advantages and int(mask.sum()) > 1:
            advantages = masked_whiten(advantages, mask)
        self._flat = {
            "old_logprobs": logprobs,
            "old_values": values,
            "advantages": advantages[mask],
            "returns": estimated.returns[mask],
        }
        counts = [tree.num_response_tokens for tree in trees]
        self._starts = torch.tensor([0, *counts]).cumsum(0).tolist()
        self._dealt: dict[tuple[int, ...], Part] = {}
        self.metrics = _metrics(whole, logprobs, reference_logprobs, scores, settings)

    def parts(self, indices: Sequence[int], *, max_tokens: int) -> Iterator[Part]:
        """Micro-batches of some trees; dealt once and kept while the rollout lives."""
        trees = [self.trees[i] for i in indices]
        for group in pack(trees, max_tokens=max_tokens):
            mine = tuple(indices[i] for i in group)
            if mine not in self._dealt:
                forest = plant([self.trees[i] for i in mine], device=self.scores.device)
                flat = {
                    name: torch.cat([full[self._starts[i] : self._starts[i + 1]] for i in mine])
                    for name, full in self._flat.items()
                }
                self._dealt[mine] = Part(forest, plan_forest(forest), **flat)
            yield self._dealt[mine]


@torch.no_grad()
def collect(
    roles: Roles,
    prompts: Sequence[Tree],
    *,
    reward: Reward,
    settings: PPOSettings,
    end_tokens: Collection[int],
    seed: int,
) -> Rollout:
    """Sample responses to prompts and score them under every role."""
    drawn = sample(
        roles,
        "policy",
        [prompt.prompt for prompt in prompts],
        num_samples=settings.num_samples_per_prompt,
        max_new_tokens=settings.max_new_tokens,
        end_tokens=end_tokens,
        temperature=settings.temperature,
        seed=seed,
    )
    trees = [
        replace(prompt, responses=tuple(one.response() for one in some))
        for prompt, some in zip(prompts, drawn, strict=True)
    ]
    found: dict[str, list[Tensor]] = {"logprobs": [], "reference": [], "values": [], "scores": []}
    for indices in pack(trees, max_tokens=settings.max_tokens_per_microbatch):
        some_trees = [trees[i] for i in indices]
        forest = plant(some_trees, device=roles.device)
        plan = plan_forest(forest)
        hidden = hidden_rows(roles, "policy", forest, plan=plan)
        found["logprobs"].append(
            logprobs_from(roles["policy"], hidden, forest, temperature=settings.temperature)
        )
        found["reference"].append(
            token_logprobs_of(
                roles, "reference", forest, plan=plan, temperature=settings.temperature
            )
        )
        if not roles.shares_trunk("value", "policy"):
            hidden = hidden_rows(roles, "value", forest, plan=plan)
        found["values"].append(values_from(roles["value"], hidden, forest))
        found["scores"].append(reward(some_trees, forest, plan))
    together = {name: torch.cat(pieces) for name, pieces in found.items()}
    return Rollout(
        trees,
        logprobs=together["logprobs"],
        reference_logprobs=together["reference"],
        values=together["values"],
        scores=together["scores"],
        settings=settings,
    )


def _metrics(
    forest: Forest, logprobs: Tensor, reference: Tensor, scores: Tensor, settings: PPOSettings
) -> dict[str, float]:
    """Means over the rollout's responses."""
    k1 = forest.sums(kl_k1(logprobs=logprobs, reference_logprobs=reference))
    k3 = forest.sums(kl_k3(logprobs=logprobs, reference_logprobs=reference))
    scored = scores - settings.missing_eos_penalty * (~forest.stopped).float()
    penalty = -settings.kl_coef * k1
    means = {
        "objective/kl": k1,
        "objective/kl_k3": k3,
        "objective/entropy": -forest.sums(logprobs),
        "objective/scores": scored,
        "objective/non_score_reward": penalty,
        "objective/rlhf_reward": scored + penalty,
        "length": forest.lengths.float(),
        "eos_rate": forest.stopped.float(),
    }
    return {name: float(values.mean()) for name, values in means.items()} | {
        "val/num_eos_tokens": float(forest.stopped.sum())
    }
