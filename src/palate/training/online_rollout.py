"""Responses of one step to its prompts, with their rewards: what every online method starts from.

Axes: `target` all response tokens, `response` all responses, `prompt`, `sample` of one prompt.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from palate.data.trees import Forest, Tree, pack, plant
from palate.models.attention import plan_forest
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.models.scoring import token_logprobs_of
from palate.objectives.divergence import kl_k1
from palate.training.online_settings import OnlineSettings
from palate.training.rollout import answer, response_metrics
from palate.training.sampling_start import EVAL_SEED, check_equal, warn_without_end
from palate.training.scores import checked_scores
from palate.training.session import Session

OF_THE_POLICY = frozenset(
    {
        "objective/kl", "objective/kl_k3", "objective/entropy", "objective/non_score_reward",
        "objective/rlhf_reward",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What an online method learns, and from whom.

    Attributes:
        roles: has a trainable `policy`, and a `reference`.
        prompts: trees without responses.
        settings: see `OnlineSettings`.
        reward: scores responses.
        end_tokens: ids that end a response.
    """

    roles: Roles
    prompts: Sequence[Tree]
    settings: OnlineSettings
    reward: Reward
    end_tokens: Collection[int]


@dataclass(frozen=True)
class Batch:
    """Sampled trees, all with equally many responses, and their numbers.

    Attributes:
        trees: prompts with their responses.
        whole: the same as one forest.
        logprobs: of the role that was sampled, nats, at the temperature of sampling.
        reference_logprobs: the reference's, in the same way.
        scores: rewards as they were given.
        penalized: rewards less the penalty of responses that did not stop.
    """

    trees: list[Tree]
    whole: Forest
    logprobs: Float[Tensor, " target"]
    reference_logprobs: Float[Tensor, " target"]
    scores: Float[Tensor, " response"]
    penalized: Float[Tensor, " response"]

    def grid(self, each: Float[Tensor, " response"]) -> Float[Tensor, "prompt sample"]:
        """A quantity of responses, prompt by prompt."""
        return each.view(len(self.trees), -1)

    def flat(self, grid: Float[Tensor, "prompt sample"]) -> Float[Tensor, " target"]:
        """A quantity of responses as one of their tokens."""
        return grid.flatten()[self.whole.owner]

    def kl(self) -> Float[Tensor, " response"]:
        """Log-ratio of the sampled role to the reference: k1 of each response, nats."""
        return self.whole.sums(
            kl_k1(logprobs=self.logprobs, reference_logprobs=self.reference_logprobs)
        )


@torch.no_grad()
def draw(
    task: Task,
    prompts: Sequence[Tree],
    *,
    seed: int,
    role: Literal["policy", "reference"] = "policy",
) -> Batch:
    """Sample responses to prompts, and score them under the sampled role, reference and reward."""
    roles, settings = task.roles, task.settings
    trees = answer(
        roles, prompts, settings=settings, end_tokens=task.end_tokens, seed=seed, role=role
    )
    found: dict[str, list[Tensor]] = {"policy": [], "reference": [], "scores": []}
    for indices in pack(trees, max_tokens=settings.max_tokens_per_microbatch):
        some = [trees[i] for i in indices]
        forest = plant(some, device=roles.device)
        plan = plan_forest(forest)
        for name in dict.fromkeys((role, "reference")):
            found[name].append(
                token_logprobs_of(roles, name, forest, plan=plan, temperature=settings.temperature)
            )
        found["scores"].append(
            checked_scores(task.reward, some, forest, plan, tokenizer=roles.tokenizer)
        )
    whole = plant(trees, device=roles.device)
    scores = torch.cat(found["scores"])
    return Batch(
        trees=trees,
        whole=whole,
        logprobs=torch.cat(found[role]),
        reference_logprobs=torch.cat(found["reference"]),
        scores=scores,
        penalized=scores - settings.missing_eos_penalty * (~whole.stopped).float(),
    )


def draw_rows(
    session: Session,
    task: Task,
    rows: Sequence[int],
    *,
    step: int,
    role: Literal["policy", "reference"] = "policy",
) -> Batch:
    """Responses to some of the run's prompts; what they show goes to the log.

    Raises:
        GateError: at step 1, where policy and reference were declared equal and are not.
    """
    roles, settings = task.roles, task.settings
    with roles.scoring():
        prompts = [task.prompts[i] for i in rows]
        batch = draw(task, prompts, seed=step_seed(settings, step), role=role)
        if step == 1 and role == "policy":
            session.record("start/reference_gap", batch.kl().abs().sum(), len(batch.scores))
        if step == 1 and roles.equal_at_start:
            check_equal(roles, batch.trees, what=settings.method)
    stopped = int(batch.whole.stopped.sum())
    warn_without_end(session, settings, num_responses=len(batch.scores), num_stopped=stopped)
    for name, value in batch_metrics(batch, settings).items():
        # Of the reference's responses neither the policy's entropy nor its KL can be told.
        if role == "policy" or name not in OF_THE_POLICY:
            session.record(name, value)
    return batch


def step_seed(settings: OnlineSettings, number: int) -> int:
    """The seed of a step's responses: a function of the run's seed and the step alone."""
    return settings.seed * 1_000_003 + number


def batch_metrics(batch: Batch, settings: OnlineSettings) -> Mapping[str, float]:
    """Means over a batch that the policy was sampled for."""
    found = response_metrics(
        batch.whole, batch.logprobs, batch.reference_logprobs, batch.scores, settings
    )
    return found | spread_metrics(batch)


def spread_metrics(batch: Batch) -> dict[str, float]:
    """How much there is to choose from: names of TRL."""
    by_prompt = batch.grid(batch.penalized)
    alike = by_prompt.amax(1) == by_prompt.amin(1)
    return {
        "reward_std": float(batch.penalized.std()),
        "frac_reward_zero_std": float(alike.float().mean()),
    }


def evaluate_online(
    task: Task, prompts: Sequence[Tree], *, gold: Reward | None = None
) -> dict[str, float]:
    """Metrics of the policy's responses to held-out prompts, always drawn with the same seed."""
    batch = draw(task, prompts, seed=EVAL_SEED)
    metrics = dict(batch_metrics(batch, task.settings))
    if gold is not None:
        metrics["objective/gold"] = float(_scored(task, batch.trees, gold).mean())
    return {f"eval_{name}": value for name, value in metrics.items()}


@torch.no_grad()
def _scored(task: Task, trees: Sequence[Tree], reward: Reward) -> Float[Tensor, " response"]:
    found = []
    for indices in pack(trees, max_tokens=task.settings.max_tokens_per_microbatch):
        some = [trees[i] for i in indices]
        forest = plant(some, device=task.roles.device)
        found.append(
            checked_scores(
                reward, some, forest, plan_forest(forest), tokenizer=task.roles.tokenizer
            )
        )
    return torch.cat(found)
