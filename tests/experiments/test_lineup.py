"""Which road, seeds, start and bill folders of a comparison have: real folders, no training."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny
from tests.experiments.test_cost import cost

from palate.errors import ModelError, UsageError
from palate.experiments.arms import Arm
from palate.experiments.entries import Entry
from palate.experiments.lineup import line_up
from palate.experiments.passport import (
    PASSPORT,
    Passport,
    RewardBill,
    start_of,
    write_passport,
)
from palate.models.load import load
from palate.models.roles import Roles


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sft"
    tiny.llama().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """As PEFT leaves it: no passport."""
    loaded = load(base)
    roles = Roles(loaded.model, loaded.tokenizer)
    roles.add_policy(tiny.lora())
    folder = tmp_path_factory.mktemp("adapters") / "adapter"
    roles.save("policy", folder)
    return folder


@pytest.fixture(scope="module")
def passport(base: Path) -> Passport:
    start = start_of(load(base))
    return Passport("dpo", "policy", str(base), start.weights, start, {"beta": 0.1}, cost(4.0))


def trained(adapter: Path, folder: Path, passport: Passport | None) -> Path:
    shutil.copytree(adapter, folder)
    if passport is not None:
        write_passport(passport, folder)
    return folder


def arms_of(*entries: Entry, base: Path) -> dict[str, Arm]:
    return {arm.name: arm for arm in line_up(entries, base=base, reward=None).arms}


def test_a_folder_of_ours_knows_road_settings_and_bill(
    base: Path, adapter: Path, passport: Passport, tmp_path: Path
) -> None:
    reward = RewardBill("/runs/reward", cost(6.0))
    ppo = replace(passport, stage="ppo", settings={"kl_coef": 0.1}, cost=cost(8.0), reward=reward)
    lineup = line_up(
        [
            Entry("short", trained(adapter, tmp_path / "dpo", passport)),
            Entry("long", trained(adapter, tmp_path / "ppo", ppo)),
            Entry("longer", trained(adapter, tmp_path / "more", ppo)),
        ],
        base=base,
        reward=None,
    )
    sft, short, long, _ = lineup.arms
    assert lineup.notes == []
    assert (sft.road, short.road, long.road) == ("sft", "dpo", "rlhf")
    assert short.settings == {"beta": 0.1}
    assert (sft.cost, short.cost, short.amortized) == (None, cost(4.0), None)
    assert long.cost is not None
    assert long.amortized is not None
    # 6 s of the reward model in full, and shared by the two arms that it trained.
    assert (long.cost.wall_s, long.amortized.wall_s) == (14.0, 11.0)


def test_a_road_can_be_told_where_it_is_not_known(base: Path, adapter: Path) -> None:
    untold = line_up([Entry("mine", adapter)], base=base, reward=None)
    assert (untold.arms[1].road, untold.arms[1].kind) == ("yardstick", "other")
    (note,) = untold.notes
    assert "--arm rlhf:mine=" in note
    told = line_up([Entry("mine", adapter, "rlhf")], base=base, reward=None)
    assert told.arms[1].road == "rlhf"
    assert told.arms[1].cost is None
    assert told.notes == []


def test_a_road_that_contradicts_the_folder_is_refused(
    base: Path, adapter: Path, passport: Passport, tmp_path: Path
) -> None:
    folder = trained(adapter, tmp_path / "dpo", passport)
    with pytest.raises(UsageError, match="trained by palate dpo"):
        arms_of(Entry("x", folder, "rlhf"), base=base)


@pytest.mark.parametrize("with_passport", [True, False])
def test_an_arm_from_another_start_is_refused_by_both_names(
    base: Path, adapter: Path, passport: Passport, tmp_path: Path, with_passport: bool
) -> None:
    other = tmp_path / "other"
    tiny.llama(seed=1).save_pretrained(other)
    tiny.tokenizer().save_pretrained(other)
    folder = trained(adapter, tmp_path / "dpo", passport if with_passport else None)
    with pytest.raises(UsageError) as caught:
        arms_of(Entry("x", folder, "dpo"), base=other)
    assert str(base) in str(caught.value)
    assert str(other) in str(caught.value)
    # The same weights under another name are the same start.
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    assert line_up([Entry("x", folder, "dpo")], base=copy, reward=None).notes == []


def test_an_arm_that_went_on_from_an_adapter_belongs_to_that_adapter(
    base: Path, adapter: Path, passport: Passport, tmp_path: Path
) -> None:
    began = replace(passport, start=start_of(load(adapter)))
    folder = trained(adapter, tmp_path / "dpo", began)
    assert line_up([Entry("x", folder)], base=adapter, reward=None).notes == []
    with pytest.raises(UsageError, match="common start"):
        arms_of(Entry("x", folder), base=base)


def test_a_start_that_nobody_knows_is_noted(base: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(base, whole)
    (note,) = line_up([Entry("x", whole, "dpo")], base=base, reward=None).notes
    assert "taken on trust" in note


def test_folders_of_one_name_are_seeds_of_one_arm(
    base: Path, adapter: Path, passport: Passport, tmp_path: Path
) -> None:
    def run(number: int, seed: int | None) -> Entry:
        settings = {"beta": 0.1} | ({"seed": seed} if seed is not None else {})
        folder = tmp_path / str(number)
        return Entry("dpo", trained(adapter, folder, replace(passport, settings=settings)))

    entries = [run(0, 5), run(1, None), run(2, 0), run(3, None)]
    models = arms_of(*entries, base=base)["dpo"].models
    # Recorded seeds as they are, the others by the next free number.
    assert {seed: str(path)[-1] for seed, path in models.items() if path} == {
        0: "2", 1: "1", 2: "3", 5: "0",
    }  # fmt: skip
    with pytest.raises(UsageError, match="both have training seed 5"):
        arms_of(*entries, run(4, 5), base=base)
    other = trained(adapter, tmp_path / "other", replace(passport, settings={"beta": 0.9}))
    with pytest.raises(UsageError, match="different settings"):
        arms_of(*entries, Entry("dpo", other), base=base)


def test_the_seed_of_a_run_folder_is_read_from_its_recipe(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text("seed: 7\n", encoding="utf-8")
    folder = trained(adapter, tmp_path / "model", None)
    assert list(arms_of(Entry("x", folder, "dpo"), base=base)["x"].models) == [7]


def test_folders_of_one_name_must_be_on_one_road(
    base: Path, adapter: Path, passport: Passport, tmp_path: Path
) -> None:
    one = Entry("x", trained(adapter, tmp_path / "a", passport))
    other = Entry("x", trained(adapter, tmp_path / "b", replace(passport, stage="ppo")))
    with pytest.raises(UsageError, match="different roads"):
        arms_of(one, other, base=base)


def test_what_is_no_policy_is_refused(
    base: Path, adapter: Path, passport: Passport, tmp_path: Path
) -> None:
    reward = trained(adapter, tmp_path / "reward", replace(passport, role="reward"))
    with pytest.raises(UsageError, match="--reward"):
        arms_of(Entry("x", reward), base=base)
    with pytest.raises(UsageError, match="--base"):
        arms_of(Entry("x", adapter), base=reward)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"config\.json"):
        arms_of(Entry("x", tmp_path / "empty"), base=base)
    broken = trained(adapter, tmp_path / "broken", None)
    (broken / PASSPORT).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="damaged"):
        arms_of(Entry("x", broken), base=base)
    with pytest.raises(UsageError, match="cannot be named sft"):
        arms_of(Entry("sft", adapter), base=base)
