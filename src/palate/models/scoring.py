"""Forest → log-probabilities, rewards, values: one function each, for every role and every stage.

Policy and reference, training and evaluation all come through here, so that where two roles are
declared equal their numbers are equal.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Forest
from palate.errors import ModelError
from palate.models.attention import Plan
from palate.models.meter import Work
from palate.models.role import Role
from palate.models.roles import Roles
from palate.models.trunk import Trunk
from palate.objectives.ensemble import cautious_rewards
from palate.objectives.likelihood import (
    exact_kl_per_token,
    log_collision,
    token_entropy,
    token_logprobs,
)


def hidden_rows(
    roles: Roles,
    name: str,
    forest: Forest,
    *,
    plan: Plan | None = None,
    work: Work | None = None,
) -> Float[Tensor, "token width"]:
    """Hidden rows of a forest under a role, counted on the roles' meter.

    Args:
        roles: the models of the run.
        name: the role to compute as.
        forest: what to compute.
        plan: the forest's attention plan, where it is used for more than one role.
        work: what the pass is for; by default "train" where gradients are on, else "score".
    """
    with roles.enter(name) as role:
        hidden = role.trunk.hidden(forest, plan)
    learning = torch.is_grad_enabled() and hidden.requires_grad
    passes = (2.0 if role.adapter is not None else 3.0) if learning else 1.0
    roles.meter.add(
        work or ("train" if learning else "score"),
        role.trunk.model,
        rows=len(forest.tokens),
        head_rows=0 if role.head is not None else len(forest.targets),
        pairs=forest.num_attention_pairs,
        passes=passes,
    )
    return hidden


def logprobs_from(
    role: Role, hidden: Float[Tensor, "token width"], forest: Forest, *, temperature: float = 1.0
) -> Float[Tensor, " target"]:
    """Log-probabilities in nats of the forest's response tokens, from its hidden rows.

    With a temperature the model is the distribution that is sampled from, softmax(logits / T):
    policy, old policy and reference of a run must all use the same one.
    """
    read = _read_by_head(role, hidden, forest)
    return token_logprobs(**read, targets=forest.targets, temperature=temperature)


@torch.no_grad()
def log_collisions_from(
    role: Role, hidden: Float[Tensor, "token width"], forest: Forest
) -> Float[Tensor, " target"]:
    """Log Σ p² of the distribution that predicts each response token, in nats."""
    return log_collision(**_read_by_head(role, hidden, forest))


def entropies_from(
    role: Role, hidden: Float[Tensor, "token width"], forest: Forest
) -> Float[Tensor, " target"]:
    """Entropy of the distribution that predicts each response token, in nats; no gradient."""
    return token_entropy(**_read_by_head(role, hidden, forest))


def _read_by_head(
    role: Role, hidden: Float[Tensor, "token width"], forest: Forest
) -> dict[str, Any]:
    """What gives the logits before each response token, as the objectives take it."""
    weight, bias = _head(role.trunk)
    return {
        "hidden": hidden[forest.predicting_rows],
        "weight": weight,
        "bias": bias,
        "logit_scale": role.trunk.logit_scale,
        "softcap": role.trunk.softcap,
    }


def values_from(
    role: Role, hidden: Float[Tensor, "token width"], forest: Forest
) -> Float[Tensor, " target"]:
    """Values before each response token, from the rows that predict it."""
    assert role.head is not None
    values: Tensor = role.head(hidden[forest.predicting_rows].float())[:, 0]
    return values


def raw_head_rewards_from(
    role: Role, hidden: Float[Tensor, "token width"], forest: Forest
) -> Float[Tensor, "response head"]:
    """Rewards as each head (mostly one) gives them, read on each response's last token."""
    assert role.head is not None
    rewards: Tensor = role.head(hidden[forest.last_rows].float())
    return rewards


def raw_rewards_from(
    role: Role, hidden: Float[Tensor, "token width"], forest: Forest
) -> Float[Tensor, " response"]:
    """Rewards before they are scaled: the mean of the heads' rewards."""
    return raw_head_rewards_from(role, hidden, forest).mean(1)


def token_logprobs_of(
    roles: Roles,
    name: str,
    forest: Forest,
    *,
    plan: Plan | None = None,
    temperature: float = 1.0,
) -> Float[Tensor, " target"]:
    """Log-probabilities of response tokens under a role, in nats."""
    hidden = hidden_rows(roles, name, forest, plan=plan)
    return logprobs_from(roles[name], hidden, forest, temperature=temperature)


def response_logprobs(
    roles: Roles, name: str, forest: Forest, *, plan: Plan | None = None, temperature: float = 1.0
) -> Float[Tensor, " response"]:
    """Log-probability of each whole response under a role: a sum over tokens, in nats."""
    per_token = token_logprobs_of(roles, name, forest, plan=plan, temperature=temperature)
    return forest.sums(per_token)


@torch.no_grad()
def rewards(
    roles: Roles, forest: Forest, *, plan: Plan | None = None, uncertainty_coef: float = 0.0
) -> Float[Tensor, " response"]:
    """Rewards of the frozen reward model: its heads' mean, less what they disagree by."""
    by_head = head_rewards(roles, forest, plan=plan)
    return cautious_rewards(by_head, uncertainty_coef=uncertainty_coef)


@torch.no_grad()
def head_rewards(
    roles: Roles, forest: Forest, *, plan: Plan | None = None
) -> Float[Tensor, "response head"]:
    """Each head's rewards, shifted and scaled once by what is stored with the reward model.

    Their mean is the reward, their spread how unsure an ensemble is of it (Coste et al. 2023,
    arXiv 2310.02743).
    """
    role = roles["reward"]
    raw = raw_head_rewards_from(role, hidden_rows(roles, "reward", forest, plan=plan), forest)
    return (raw - role.scale.mean) / role.scale.spread


@torch.no_grad()
def exact_kl(
    roles: Roles, forest: Forest, *, temperature: float = 1.0
) -> Float[Tensor, " response"]:
    """KL(policy‖reference) of each response in nats: exact per token, summed along the sample."""
    policy, reference = roles["policy"], roles["reference"]
    rows = forest.predicting_rows
    policy_weight, policy_bias = _head(policy.trunk)
    reference_weight, reference_bias = _head(reference.trunk)
    per_token = exact_kl_per_token(
        policy_hidden=hidden_rows(roles, "policy", forest)[rows],
        policy_weight=policy_weight,
        policy_bias=policy_bias,
        reference_hidden=hidden_rows(roles, "reference", forest)[rows],
        reference_weight=reference_weight,
        reference_bias=reference_bias,
        logit_scale=policy.trunk.logit_scale,
        softcap=policy.trunk.softcap,
        temperature=temperature,
    )
    return forest.sums(per_token)


def _head(trunk: Trunk) -> tuple[Tensor, Tensor | None]:
    weight = getattr(trunk.head, "weight", None)
    if not isinstance(weight, Tensor):
        raise ModelError(
            f"the language-model head is a {type(trunk.head).__name__}; adapters on the head are "
            "not supported: leave lm_head out of the LoRA target modules"
        )
    return weight, getattr(trunk.head, "bias", None)
