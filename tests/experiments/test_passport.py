"""palate.json: what it keeps, and what it does not claim to know."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.experiments.test_cost import cost

from palate.errors import ModelError
from palate.experiments.passport import (
    PASSPORT,
    Passport,
    RewardBill,
    Start,
    read_passport,
    write_passport,
)

PPO = Passport(
    "ppo", "policy", "/models/sft", "aa", Start("/models/sft", "aa", "float32"),
    {"seed": 3, "kl_coef": 0.1}, cost(8.0, sampled=50), RewardBill("/runs/reward", cost(6.0)),
)  # fmt: skip


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_passport(PPO, tmp_path)
    assert read_passport(tmp_path) == PPO


def test_a_folder_of_another_tool_has_none(tmp_path: Path) -> None:
    assert read_passport(tmp_path) is None


def test_what_was_not_measured_stays_unknown(tmp_path: Path) -> None:
    (tmp_path / PASSPORT).write_text(
        '{"stage": "dpo", "role": "policy", "base": "sft"}', encoding="utf-8"
    )
    found = read_passport(tmp_path)
    assert found is not None
    assert (found.cost, found.start, found.road_cost) == (None, None, None)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"stage": 1, "role": "x", "base": 1, "start": 3}']
)
def test_a_damaged_one_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / PASSPORT).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"palate\.json: damaged"):
        read_passport(tmp_path)


def test_rlhf_pays_for_its_reward_model_in_full_or_its_share() -> None:
    whole, shared = PPO.road_cost, PPO.shared_cost(3)
    assert whole is not None
    assert shared is not None
    assert (whole.wall_s, whole.tokens_trained) == (14.0, 200)
    assert shared.wall_s == 10.0


def test_half_of_a_bill_is_no_bill() -> None:
    unmetered = replace(PPO, reward=RewardBill("/runs/reward", None))
    assert unmetered.road_cost is None
    assert unmetered.shared_cost(1) is None
    assert replace(PPO, cost=None).road_cost is None
