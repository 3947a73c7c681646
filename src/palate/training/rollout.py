"""A rollout: responses of the policy as it is now, scored by every role, ready to learn from.

Old policy and reference log-probabilities, values and rewards come from one forest a micro-batch,
through the functions that training uses, at the temperature that was sampled with.
"""

from collections.abc import Collection, Sequence
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
from palate.objectives.divergence import KL_ESTIMATORS, kl_k1, kl_k3
from palate.objectives.masked import masked_whiten
from palate.objectives.returns import kl_shaped_rewards, response_gae
from palate.training.controls import Controls
from palate.training.dealing import Dealt
from palate.training.scores import checked_scores
from palate.training.settings import PPOSettings, SamplingSettings
from palate.training.signs import explained_variance, response_signs


@dataclass(frozen=True)
class Part:
    """What one micro-batch learns from; quantities are per response token [U]."""

    forest: Forest
    plan: ForestAttention
    old_logprobs: Float[Tensor, " target"]
    reference_logprobs: Float[Tensor, " target"]
    old_values: Float[Tensor, " target"]
    advantages: Float[Tensor, " target"]
    returns: Float[Tensor, " target"]


class Rollout:
    """Sampled trees with their numbers; `parts` deals them out for an update.

    `scores`, `gold` and the metrics are as the rewards gave them: only what is learned from is
    scaled, cut and whitened, and only by it do the `controls` of a run change.
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
        controls: Controls | None = None,
        gold: Tensor | None = None,
    ) -> None:
        self.trees = trees
        whole = plant(trees, device=logprobs.device)
        self.scores, self.gold = scores, gold
        evaluated = controls is None
        controls = controls or Controls(settings, {})
        self.kl_coef = controls.kl_coef
        log_ratios = whole.sums(kl_k1(logprobs=logprobs, reference_logprobs=reference_logprobs))
        # Of the run's first rollout, before any update: how far the reference is from the policy.
        self.reference_gap = float(log_ratios.abs().mean())
        # The bonus' baseline: one number for all micro-batches, which never change a gradient.
        self.mean_logprob = float(logprobs.mean())
        mask = whole.response_mask
        shaped = kl_shaped_rewards(
            scores=controls.learned_scores(scores),
            logprobs=whole.padded(logprobs),
            reference_logprobs=whole.padded(reference_logprobs),
            response_mask=mask,
            kl_coef=self.kl_coef if settings.kl_penalty_in == "reward" else 0.0,
            missing_eos_penalty=settings.missing_eos_penalty,
            stopped=whole.stopped,
            estimator=KL_ESTIMATORS[settings.kl_estimator],
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
        self._dealt = Dealt(
            trees,
            tokens={
                "old_logprobs": logprobs,
                "reference_logprobs": reference_logprobs,
                "old_values": values,
                "advantages": advantages[mask],
                "returns": estimated.returns[mask],
            },
        )
        self.metrics = response_metrics(
            whole, logprobs, reference_logprobs, scores, settings, kl_coef=self.kl_coef
        )
        explained = explained_variance(values, estimated.returns[mask])
        if explained is not None and not evaluated:
            self.metrics["val/explained_variance"] = explained
        self._penalized = scores - settings.missing_eos_penalty * (~whole.stopped).float()
        if gold is not None:
            self.metrics["objective/gold"] = float(gold.mean())
        if settings.adap_kl_ctrl and not evaluated:
            self.metrics["objective/kl_coef"] = self.kl_coef
        if settings.kl_budget:
            self.metrics["objective/kl_budget_used"] = self.kl / settings.kl_budget

    @property
    def kl(self) -> float:
        """KL(policy‖reference) of the rollout, nats a response: the mean of k1."""
        return self.metrics["objective/kl"]

    def standard_errors(self) -> dict[str, float]:
        """Of the mean scores, over prompts, whose responses belong together; {} for one prompt."""
        if len(self.trees) < 2:
            return {}
        named = {"objective/scores_se": self._penalized}
        if self.gold is not None:
            named["objective/gold_se"] = self.gold
        means = {name: each.view(len(self.trees), -1).mean(1) for name, each in named.items()}
        return {name: float(each.std()) / len(each) ** 0.5 for name, each in means.items()}

    def parts(self, indices: Sequence[int], *, max_tokens: int) -> list[Part]:
        """Micro-batches of some trees; dealt once and kept while the rollout lives."""
        portions = self._dealt.portions(indices, max_tokens=max_tokens)
        return [Part(portion.forest, portion.plan, **portion.tokens) for portion in portions]


def answer(
    roles: Roles,
    prompts: Sequence[Tree],
    *,
    settings: SamplingSettings,
    end_tokens: Collection[int],
    seed: int,
    role: str = "policy",
) -> list[Tree]:
    """Prompts with responses that a role gives to them."""
    drawn = sample(
        roles,
        role,
        [prompt.prompt for prompt in prompts],
        num_samples=settings.num_samples_per_prompt,
        max_new_tokens=settings.max_new_tokens,
        end_tokens=end_tokens,
        stop=settings.stop,
        temperature=settings.temperature,
        seed=seed,
    )
    return [
        replace(prompt, responses=tuple(one.response() for one in some))
        for prompt, some in zip(prompts, drawn, strict=True)
    ]


@torch.no_grad()
def collect(
    roles: Roles,
    prompts: Sequence[Tree],
    *,
    reward: Reward,
    settings: PPOSettings,
    end_tokens: Collection[int],
    seed: int,
    gold: Reward | None = None,
    controls: Controls | None = None,
) -> Rollout:
    """Sample responses to prompts and score them under every role.

    Raises:
        UsageError: a reward gives another number of scores than there are responses.
        NumericalError: a score is not finite.
    """
    trees = answer(roles, prompts, settings=settings, end_tokens=end_tokens, seed=seed)
    rewards = {"scores": reward} if gold is None else {"scores": reward, "gold": gold}
    found: dict[str, list[Tensor]] = {"logprobs": [], "reference_logprobs": [], "values": []}
    found |= {name: [] for name in rewards}
    for indices in pack(trees, max_tokens=settings.max_tokens_per_microbatch):
        some_trees = [trees[i] for i in indices]
        forest = plant(some_trees, device=roles.device)
        plan = plan_forest(forest)
        hidden = hidden_rows(roles, "policy", forest, plan=plan)
        found["logprobs"].append(
            logprobs_from(roles["policy"], hidden, forest, temperature=settings.temperature)
        )
        found["reference_logprobs"].append(
            token_logprobs_of(
                roles, "reference", forest, plan=plan, temperature=settings.temperature
            )
        )
        if not roles.shares_trunk("value", "policy"):
            hidden = hidden_rows(roles, "value", forest, plan=plan)
        found["values"].append(values_from(roles["value"], hidden, forest))
        for name, one in rewards.items():
            found[name].append(
                checked_scores(one, some_trees, forest, plan, tokenizer=roles.tokenizer)
            )
    together = {name: torch.cat(pieces) for name, pieces in found.items()}
    return Rollout(trees, settings=settings, controls=controls, **together)


def response_metrics(
    forest: Forest,
    logprobs: Tensor,
    reference: Tensor,
    scores: Tensor,
    settings: SamplingSettings,
    *,
    kl_coef: float | None = None,
) -> dict[str, float]:
    """Means over the rollout's responses; `kl_coef` is the settings' where none is given."""
    k1 = forest.sums(kl_k1(logprobs=logprobs, reference_logprobs=reference))
    k3 = forest.sums(kl_k3(logprobs=logprobs, reference_logprobs=reference))
    scored = scores - settings.missing_eos_penalty * (~forest.stopped).float()
    penalty = -(settings.kl_coef if kl_coef is None else kl_coef) * k1
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
    return {
        **{name: float(values.mean()) for name, values in means.items()},
        **response_signs(forest, scores),
        "val/num_eos_tokens": float(forest.stopped.sum()),
    }
