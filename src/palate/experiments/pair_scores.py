"""Rewards of pairs: a reward model's, or those that a policy implies.

A policy trained by DPO is a reward model: r(x, y) = β·log(π(y|x) / π_ref(y|x)), up to a term of
the prompt alone (Rafailov et al. 2023, arXiv 2305.18290, eq. 5).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from palate.data.grow import preference_trees
from palate.data.records import Preference, prompt_key
from palate.data.render import Overlong, Renderer
from palate.data.trees import Forest, Tree, fit, pack, plant
from palate.errors import ModelError
from palate.experiments.answers import as_policy
from palate.experiments.prepare import frozen_reward, load_reward_model
from palate.measures import longer_wins, rate_estimate
from palate.models.load import Loaded
from palate.models.reward_folder import RewardScale
from palate.models.roles import Roles
from palate.models.scoring import head_rewards, response_logprobs
from palate.training.progress import progress

MAX_TOKENS = 4096
ScoreForest = Callable[[Forest], Tensor]


@dataclass(frozen=True)
class PairScores:
    """Rewards of each pair's responses.

    Attributes:
        pairs: those that were scored.
        by_head: [response, head], each head's rewards: the first pair's chosen response, its
            rejected one, the next pair's …
        num_dropped: pairs left out for their length.
        scale: by which raw rewards became these.
    """

    pairs: list[Preference]
    by_head: NDArray[np.float64]
    num_dropped: int
    scale: RewardScale

    @property
    def chosen(self) -> NDArray[np.float64]:
        """[pair], reward of each chosen response."""
        return np.asarray(self.by_head[::2].mean(axis=1))

    @property
    def rejected(self) -> NDArray[np.float64]:
        """[pair], reward of each rejected response."""
        return np.asarray(self.by_head[1::2].mean(axis=1))

    @property
    def uncertainty(self) -> NDArray[np.float64] | None:
        """[response], standard deviation over heads; None where there is one head."""
        return self.by_head.std(axis=1, ddof=1) if self.by_head.shape[1] > 1 else None

    def rows(self) -> list[dict[str, Any]]:
        """A row a pair, with its place in the file."""
        rows = [
            {"origin": pair.origin, "chosen": good, "rejected": bad, "margin": good - bad}
            for pair, good, bad in zip(
                self.pairs, self.chosen.tolist(), self.rejected.tolist(), strict=True
            )
        ]
        if self.uncertainty is not None:
            for row, good, bad in zip(
                rows, self.uncertainty[::2].tolist(), self.uncertainty[1::2].tolist(), strict=True
            ):
                row |= {"chosen_uncertainty": good, "rejected_uncertainty": bad}
        return rows

    def summary(self) -> dict[str, Any]:
        """Means, and the accuracy beside that of "the longer response wins".

        Raw rewards are those before scaling, which a reward model's training logs.
        An accuracy is the share of pairs whose chosen response has the higher reward, a tie
        counting ½; null where there is one prompt only and so no interval.
        """
        groups = [prompt_key(pair.prompt) for pair in self.pairs]
        margins = self.chosen - self.rejected
        raw = {
            f"raw_{name}": mean * self.scale.spread + shift
            for name, mean, shift in (
                ("rewards/chosen", float(self.chosen.mean()), self.scale.mean),
                ("rewards/rejected", float(self.rejected.mean()), self.scale.mean),
                ("rewards/margins", float(margins.mean()), 0.0),
            )
        }
        unsure = self.uncertainty
        accuracy = longest = None
        if len(set(groups)) > 1:
            accuracy = rate_estimate((1 + np.sign(margins)) / 2, unit="accuracy", clusters=groups)
            longest = longer_wins(
                chosen=[pair.chosen for pair in self.pairs],
                rejected=[pair.rejected for pair in self.pairs],
                groups=groups,
            )
        return {
            "pairs": len(self.pairs),
            "dropped_overlong": self.num_dropped,
            "rewards/chosen": float(np.mean(self.chosen)),
            "rewards/rejected": float(np.mean(self.rejected)),
            "rewards/margins": float(np.mean(margins)),
            **raw,
            "rewards/uncertainty": None if unsure is None else float(unsure.mean()),
            "accuracy": accuracy and accuracy.to_json(),
            "longest_wins": longest and longest.to_json(),
        }


@dataclass(frozen=True)
class Scorer:
    """How to score, and the tokenizer's way of writing pairs as tokens.

    Attributes:
        score: a forest's rewards by head, [response, head].
        renderer: text to tokens.
        device: where forests are to be.
        scale: by which raw rewards, in nats, became the rewards that `score` gives.
    """

    score: ScoreForest
    renderer: Renderer
    device: torch.device
    scale: RewardScale = field(default_factory=RewardScale)


def reward_scorer(folder: Path) -> Scorer:
    """Rewards as PPO sees them: of a reward model folder, shifted and scaled as stored there.

    Raises:
        ModelError: the folder is unsafe, or no reward model.
    """
    return role_scorer(frozen_reward(load_reward_model(folder), folder))


def role_scorer(roles: Roles) -> Scorer:
    """Rewards of the reward role of roles in memory."""

    def score(forest: Forest) -> Tensor:
        return head_rewards(roles, forest)

    return Scorer(score, Renderer(roles.tokenizer), roles.device, roles["reward"].scale)


def implicit_scorer(loaded: Loaded, *, reference: Loaded | None, beta: float) -> Scorer:
    """β·log(policy / reference) of each response, in nats.

    Args:
        loaded: the policy.
        reference: what it was held to; None: the base of the policy's adapter.
        beta: as in training.

    Raises:
        ModelError: there is no reference to compare with.
    """
    policy = as_policy(loaded)
    if reference is not None:
        held_to, name = as_policy(reference), "policy"
    elif loaded.adapter is not None:
        policy.add_reference()
        held_to, name = policy, "reference"
    else:
        raise ModelError(
            "a model with all its weights trained carries no reference; name the model that "
            "training started from: --reference FOLDER"
        )

    def score(forest: Forest) -> Tensor:
        log_ratio = response_logprobs(policy, "policy", forest)
        return (beta * (log_ratio - response_logprobs(held_to, name, forest)))[:, None]

    return Scorer(score, Renderer(loaded.tokenizer), policy.device)


def score_pairs(
    scorer: Scorer, pairs: Sequence[Preference], *, max_length: int, overlong: Overlong
) -> PairScores:
    """Score both responses of every pair."""
    rendered, _ = preference_trees(pairs, scorer.renderer, max_length=sys.maxsize)
    trees, num_dropped = fit(rendered, max_length=max_length, overlong=overlong)
    scored = [
        pair for pair, tree in zip(pairs, rendered, strict=True) if tree.longest <= max_length
    ]
    return PairScores(scored, score_trees(scorer, trees), num_dropped, scorer.scale)


@torch.no_grad()
def score_trees(scorer: Scorer, trees: Sequence[Tree]) -> NDArray[np.float64]:
    """Rewards by head of all responses of trees, [response, head]."""
    found = []
    with progress("score", len(trees)) as advance:
        for indices in pack(trees, max_tokens=MAX_TOKENS):
            forest = plant([trees[i] for i in indices], device=scorer.device)
            found.append(scorer.score(forest).double().cpu().numpy())
            advance(len(indices), "")
    return np.concatenate(found)
