"""Rows → log-probabilities → losses, for a micro-batch or for a whole step of the DPO family.

Axes: `row` a pair or one labelled response; `response` the responses of all rows in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.errors import DataError
from palate.models.attention import Plan
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.models.scoring import (
    entropies_from,
    hidden_rows,
    log_collisions_from,
    logprobs_from,
    response_logprobs,
)
from palate.objectives.unpaired import mismatched_kl, reward_shift
from palate.objectives.weighting import length_desensitized, wpo_weights
from palate.training.losses import Numbers, StepFacts, row_losses
from palate.training.settings import DPOSettings


@dataclass(frozen=True)
class PairScores:
    """Losses of some rows, and the log-probabilities that they come from, in nats.

    `surprise`, where it was asked for, is −log π(token) − H(π) of the tokens of wanted responses:
    0 in expectation where the policy has written them itself.
    """

    losses: Float[Tensor, " row"]
    numbers: Numbers
    weights: Float[Tensor, " row"]
    surprise: Float[Tensor, " token"] | None = None

    @property
    def margins(self) -> Float[Tensor, " row"]:
        """Log-ratio of chosen − log-ratio of rejected, before β."""
        return self.numbers.margins

    @property
    def chosen(self) -> Float[Tensor, " row"]:
        """The policy's log-probability of chosen responses."""
        return self.numbers.pairs(self.numbers.whole)[0]

    @property
    def rejected(self) -> Float[Tensor, " row"]:
        """The policy's log-probability of rejected responses."""
        return self.numbers.pairs(self.numbers.whole)[1]


def score_pairs(
    roles: Roles,
    trees: Sequence[Tree],
    forest: Forest,
    *,
    cache: ReferenceCache,
    settings: DPOSettings,
    facts: StepFacts | None = None,
    plan: Plan | None = None,
    with_surprise: bool = False,
) -> PairScores:
    """Losses and log-probabilities of rows: pairs with the chosen response first, or labelled ones.

    Args:
        roles: has a policy.
        trees: the rows; `weight` multiplies the loss of each, `margin` (in rewards) is what the
            chosen response must lead by, where the loss asks.
        forest: the same, planted.
        cache: holds the reference's log-probabilities of them where a loss compares with it.
        settings: name the losses.
        facts: of the step that the rows belong to; by default they are the whole step.
        plan: the forest's attention plan, where there is one.
        with_surprise: whether to compute it, for one more pass of the head.
    """
    hidden = hidden_rows(roles, "policy", forest, plan=plan)
    per_token = logprobs_from(roles["policy"], hidden, forest)
    whole = forest.sums(per_token)
    policy, reference = whole, torch.zeros_like(whole)
    if settings.ld_alpha != 1:
        tails = forest.sums(per_token * forest.tails)
        policy = length_desensitized(logprobs=whole, tail_logprobs=tails, alpha=settings.ld_alpha)
    if settings.needs_reference:
        reference = cache.lookup(roles, trees, ld_alpha=settings.ld_alpha)
    per_row = len(trees[0].responses)
    labels = [desirable for tree in trees for desirable in labels_of(tree)]
    numbers = Numbers(
        policy=policy,
        reference=reference,
        whole=whole,
        lengths=forest.lengths,
        desirable=torch.tensor(labels, device=whole.device),
        facts=facts or StepFacts(mean_length(trees)),
        per_row=per_row,
        asked=whole.new_tensor([tree.margin or 0.0 for tree in trees]),
    )
    weights = whole.new_tensor([tree.weight for tree in trees])
    if settings.use_weighting:
        collisions = log_collisions_from(roles["policy"], hidden.detach(), forest)
        aligned = numbers.pairs(forest.sums(per_token.detach() - collisions))
        lengths = numbers.pairs(forest.lengths)
        weights = weights * wpo_weights(
            chosen_aligned=aligned[0],
            rejected_aligned=aligned[1],
            chosen_lengths=lengths[0],
            rejected_lengths=lengths[1],
        )
    surprise = None
    if with_surprise:
        entropies = entropies_from(roles["policy"], hidden.detach(), forest)
        surprise = (-per_token.detach() - entropies)[numbers.desirable[forest.owner]]
    return PairScores(row_losses(numbers, settings) * weights, numbers, weights, surprise)


def labels_of(tree: Tree) -> tuple[bool, ...]:
    """Which responses of a row are desirable: a pair's first, or as a single one is labelled."""
    if len(tree.responses) == 2:
        return (True, False)
    assert tree.desirable is not None
    return (tree.desirable,)


def mean_length(trees: Sequence[Tree]) -> float:
    """Mean tokens of the rows' first responses, which are the chosen ones of pairs."""
    return sum(len(tree.responses[0].tokens) for tree in trees) / len(trees)


@torch.no_grad()
def score_step(
    roles: Roles,
    trees: Sequence[Tree],
    settings: DPOSettings,
    *,
    cache: ReferenceCache,
    facts: StepFacts,
) -> PairScores:
    """Scores of all rows of a step together, without gradient, whatever a micro-batch holds."""
    parts = []
    for indices in pack(trees, max_tokens=settings.max_tokens_per_microbatch):
        some = [trees[i] for i in indices]
        forest = plant(some, device=roles.device)
        parts.append(score_pairs(roles, some, forest, cache=cache, settings=settings, facts=facts))
    numbers = Numbers(
        policy=torch.cat([part.numbers.policy for part in parts]),
        reference=torch.cat([part.numbers.reference for part in parts]),
        whole=torch.cat([part.numbers.whole for part in parts]),
        lengths=torch.cat([part.numbers.lengths for part in parts]),
        desirable=torch.cat([part.numbers.desirable for part in parts]),
        facts=facts,
        per_row=parts[0].numbers.per_row,
        asked=parts[0].losses.new_tensor([tree.margin or 0.0 for tree in trees]),
    )
    weights = torch.cat([part.weights for part in parts])
    return PairScores(row_losses(numbers, settings) * weights, numbers, weights)


@torch.no_grad()
def rescore(scores: PairScores, facts: StepFacts, settings: DPOSettings) -> PairScores:
    """The same rows with other facts of their step."""
    numbers = replace(scores.numbers, facts=facts)
    return PairScores(row_losses(numbers, settings) * scores.weights, numbers, scores.weights)


def mismatched(trees: Sequence[Tree]) -> list[Tree]:
    """Each row's prompt with the responses of another row, half the data away: KTO's strangers.

    Raises:
        DataError: every row has the same prompt.
    """
    found = []
    for index, tree in enumerate(trees):
        for ahead in range(len(trees)):
            other = trees[(index + len(trees) // 2 + ahead) % len(trees)]
            if other.prompt != tree.prompt:
                found.append(replace(tree, responses=other.responses))
                break
        else:
            raise DataError(
                f"{tree.origin or 'a row'}: every row has its prompt, but loss_type kto needs "
                "responses to other prompts (its point of reference); take apo_zero_unpaired"
            )
    return found


def strangers_of(trees: Sequence[Tree], settings: DPOSettings) -> list[Tree]:
    """What KTO asks of the reference besides the rows; nothing for other losses."""
    return mismatched(trees) if settings.names("kto") else []


@torch.no_grad()
def drift(
    roles: Roles, strangers: Sequence[Tree], settings: DPOSettings, *, cache: ReferenceCache
) -> float:
    """KTO's point of reference in nats, from mismatched rows; 0 where there are none."""
    if not strangers:
        return 0.0
    ratios, weights = [], []
    with roles.scoring():
        for indices in pack(strangers, max_tokens=settings.max_tokens_per_microbatch):
            some = [strangers[i] for i in indices]
            policy = response_logprobs(roles, "policy", plant(some, device=roles.device))
            ratios.append(policy - cache.lookup(roles, some))
            weights += [tree.weight for tree in some for _ in tree.responses]
    ratio = torch.cat(ratios)
    return float(mismatched_kl(log_ratio=ratio, weights=ratio.new_tensor(weights)))


@torch.no_grad()
def threshold(parts: Sequence[PairScores], settings: DPOSettings) -> float:
    """BCO's threshold in rewards, as the rows of a step place it."""
    rewards = torch.cat([settings.beta * part.numbers.log_ratio for part in parts])
    weights = torch.cat([part.weights.repeat_interleave(part.numbers.per_row) for part in parts])
    labels = torch.cat([part.numbers.desirable for part in parts])
    return float(reward_shift(rewards=rewards, desirable=labels, weights=weights))


@dataclass(frozen=True)
class Slopes:
    """Derivatives of a step's summed loss by each row's log-probabilities: [row, response]."""

    policy: Float[Tensor, "row each"]
    whole: Float[Tensor, "row each"]

    def carry(self, numbers: Numbers, rows: Sequence[int]) -> Float[Tensor, ""]:
        """A number that has, in these rows' parameters, the gradient of the step's summed loss."""
        some = list(rows)
        found: Tensor = (self.policy[some].flatten() * numbers.policy).sum()
        return found + (self.whole[some].flatten() * numbers.whole).sum()


def slopes(scores: PairScores, settings: DPOSettings) -> Slopes:
    """How the step's summed loss changes with each log-probability.

    A loss that sorts the whole step is no sum over micro-batches; its derivative by the step's
    log-probabilities, found first, lets each micro-batch go backward by itself.
    """
    with torch.enable_grad():
        policy = scores.numbers.policy.clone().requires_grad_()
        whole = scores.numbers.whole.clone().requires_grad_()
        numbers = replace(scores.numbers, policy=policy, whole=whole)
        total = (row_losses(numbers, settings) * scores.weights).sum()
        found = torch.autograd.grad(total, (policy, whole), allow_unused=True)
    each = [
        (torch.zeros_like(policy) if slope is None else slope).view(-1, numbers.per_row)
        for slope in found
    ]
    return Slopes(*each)


@torch.no_grad()
def sums_of(scores: PairScores, settings: DPOSettings) -> Mapping[str, tuple[Tensor, int]]:
    """Sums over rows (or over responses of one label) of what the log shows, and their counts."""
    numbers = scores.numbers
    unit = settings.beta * torch.ones_like(numbers.whole)
    if settings.rewards_per_token:
        unit = unit / numbers.lengths
    rewards = unit * numbers.log_ratio
    found = {"loss": (scores.losses.sum(), len(scores.losses))}
    if settings.needs_reference:
        found["reference_gap"] = (numbers.log_ratio.abs().sum(), len(numbers.log_ratio))
    for label, kind in (("chosen", numbers.desirable), ("rejected", ~numbers.desirable)):
        if bool(kind.any()):
            count = int(kind.sum())
            found[f"rewards/{label}"] = (rewards[kind].sum(), count)
            found[f"logps/{label}"] = (numbers.whole[kind].sum(), count)
    if numbers.per_row == 2:
        leads = numbers.lead(rewards)
        right = (leads > 0).float()
        # A margin within rounding of 0, as before the first step, decides nothing: it counts half.
        rounding = 16 * torch.finfo(unit.dtype).eps * unit * numbers.whole.abs()
        right[leads.abs() <= sum(numbers.pairs(rounding))] = 0.5
        found["rewards/margins"] = (leads.sum(), len(leads))
        found["rewards/accuracies"] = (right.sum(), len(leads))
    return found
