"""Rewards of pairs: a reward model's, or those that a policy implies.

A policy trained by DPO is a reward model: r(x, y) = β·log(π(y|x) / π_ref(y|x)), up to a term of
the prompt alone (Rafailov et al. 2023, arXiv 2305.18290, eq. 5).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from palate.data.grow import preference_trees
from palate.data.records import Preference, prompt_key
from palate.data.render import Overlong, Renderer
from palate.data.trees import Forest, pack, plant
from palate.errors import ModelError
from palate.experiments.answers import as_policy
from palate.experiments.prepare import load_reward, on_device
from palate.measures import longer_wins, rate_estimate
from palate.models.load import Loaded, load, refuse_unsafe
from palate.models.reward_folder import read_model
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs, rewards
from palate.training.progress import progress

MAX_TOKENS = 4096
ScoreForest = Callable[[Forest], Tensor]


@dataclass(frozen=True)
class PairScores:
    """Rewards of each pair's responses.

    Attributes:
        pairs: those that were scored.
        chosen: reward of each chosen response.
        rejected: reward of each rejected response.
        num_dropped: pairs left out for their length.
    """

    pairs: list[Preference]
    chosen: list[float]
    rejected: list[float]
    num_dropped: int

    def rows(self) -> list[dict[str, Any]]:
        """A row a pair, with its place in the file."""
        return [
            {"origin": pair.origin, "chosen": good, "rejected": bad, "margin": good - bad}
            for pair, good, bad in zip(self.pairs, self.chosen, self.rejected, strict=True)
        ]

    def summary(self) -> dict[str, Any]:
        """Means, and the accuracy beside that of "the longer response wins".

        An accuracy is the share of pairs whose chosen response has the higher reward, a tie
        counting ½; null where there is one prompt only and so no interval.
        """
        groups = [prompt_key(pair.prompt) for pair in self.pairs]
        margins = np.array(self.chosen) - np.array(self.rejected)
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
            "accuracy": accuracy and accuracy.to_json(),
            "longest_wins": longest and longest.to_json(),
        }


@dataclass(frozen=True)
class Scorer:
    """How to score, and the tokenizer's way of writing pairs as tokens."""

    score: ScoreForest
    renderer: Renderer
    device: torch.device


def reward_scorer(folder: Path) -> Scorer:
    """Rewards as PPO sees them: of a reward model folder, shifted and scaled as stored there.

    Raises:
        ModelError: the folder is unsafe, or no reward model.
    """
    refuse_unsafe(folder)
    if (folder / "adapter_config.json").exists():
        loaded = load(folder)
        roles = Roles(on_device(loaded.model), loaded.tokenizer)
    else:
        model = read_model(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        roles = Roles(on_device(model), tokenizer)
    load_reward(roles, folder)
    return Scorer(lambda forest: rewards(roles, forest), Renderer(roles.tokenizer), roles.device)


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
        return beta * (log_ratio - response_logprobs(held_to, name, forest))

    return Scorer(score, Renderer(loaded.tokenizer), policy.device)


@torch.no_grad()
def score_pairs(
    scorer: Scorer, pairs: Sequence[Preference], *, max_length: int, overlong: Overlong
) -> PairScores:
    """Score both responses of every pair."""
    trees, num_dropped = preference_trees(
        pairs, scorer.renderer, max_length=max_length, overlong=overlong
    )
    found: list[float] = []
    with progress("score", len(trees)) as advance:
        for indices in pack(trees, max_tokens=MAX_TOKENS):
            forest = plant([trees[i] for i in indices], device=scorer.device)
            found += scorer.score(forest).tolist()
            advance(len(indices), "")
    kept = {tree.origin for tree in trees}
    scored = [pair for pair in pairs if pair.origin in kept]
    return PairScores(scored, found[::2], found[1::2], num_dropped)
