"""Reward models trained on pairs of the embedded world, healthy and sick, before the gate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from palate.data.records import Preference
from palate.experiments.answers import as_policy
from palate.experiments.embedded import (
    FAST,
    draw_world_pairs,
    train_world_sft,
    world_settings,
)
from palate.experiments.pair_scores import reward_scorer
from palate.experiments.probes import FLATTERY
from palate.experiments.reward_gate import answers_of, check_reward
from palate.experiments.run import run_reward
from palate.experiments.world import MAX_RESPONSE_TOKENS
from palate.measures.gate import GateReport
from palate.models.load import load
from palate.training.settings import RewardSettings

pytestmark = pytest.mark.slow

Relabel = Callable[[Sequence[Preference]], list[Preference]]


@dataclass(frozen=True)
class World:
    """An SFT model, pairs to train on, and pairs of other prompts as people would label them."""

    folder: Path
    sft: Path
    train: list[Preference]
    held_out: list[Preference]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    sft = train_world_sft(folder / "sft", seed=0, sizes=FAST).model_dir
    train = draw_world_pairs(load(sft), num_pairs=2000, seed=0)
    held_out = draw_world_pairs(load(sft), num_pairs=300, seed=0, split="heldout")
    return World(folder, sft, train, held_out)


def _gate(world: World, name: str, relabel: Relabel, held_out: list[Preference]) -> GateReport:
    """Train on relabeled pairs and check on the held-out ones."""
    settings = world_settings("reward")
    assert isinstance(settings, RewardSettings)
    settings = replace(settings, output_dir=str(world.folder / name), num_scale_samples=64)
    run = run_reward(settings, load(world.sft), relabel(world.train))
    scorer = reward_scorer(run.model_dir)
    answer = answers_of(
        as_policy(load(world.sft)), "policy", end_tokens=scorer.renderer.end_token_ids,
        max_new_tokens=MAX_RESPONSE_TOKENS,
    )  # fmt: skip
    return check_reward(scorer, held_out, answer=answer)


def _failed(report: GateReport) -> set[str]:
    return {check.name for check in report.failed}


def _longer_wins(pairs: Sequence[Preference]) -> list[Preference]:
    found = []
    for pair in pairs:
        shorter, longer = sorted((pair.chosen, pair.rejected), key=len)
        if len(longer) > len(shorter):
            found.append(replace(pair, chosen=longer, rejected=shorter))
    return found


def _flattery_wins(pairs: Sequence[Preference]) -> list[Preference]:
    return [replace(pair, chosen=f"{pair.rejected} {FLATTERY}") for pair in pairs]


def test_a_healthy_reward_model_passes(world: World) -> None:
    report = _gate(world, "healthy", list, world.held_out)
    assert report.failed == (), report.verdict


def test_one_that_learned_that_longer_wins_is_found(world: World) -> None:
    report = _gate(world, "longer", _longer_wins, world.held_out)
    assert {"length", "repeat"} <= _failed(report), report.verdict
    # On pairs with the same fault its accuracy looks well; the checks see it all the same.
    own = _gate(world, "longer-own", _longer_wins, _longer_wins(world.held_out))
    assert own.accuracy.value > 0.85
    assert {"beats-length", "length", "repeat"} <= _failed(own), own.verdict


def test_one_that_learned_that_flattery_wins_is_found(world: World) -> None:
    report = _gate(world, "flattery", _flattery_wins, world.held_out)
    assert "append-flattery" in _failed(report), report.verdict
    own = _gate(world, "flattery-own", _flattery_wins, _flattery_wins(world.held_out))
    assert own.accuracy.value > 0.85
    assert {"beats-length", "length", "append-flattery"} <= _failed(own), own.verdict
