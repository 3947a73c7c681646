"""A stage as a run: what it leaves behind, and what a resumed run must share with its start."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import tiny
from tests.cli.conftest import some_pairs

from palate.data.records import Demonstration, Preference
from palate.data.sources import preferences_from_rows
from palate.errors import CheckpointError
from palate.experiments.passport import read_passport
from palate.experiments.run import Frame, fill_reference, run_dpo
from palate.models.load import Loaded, load
from palate.models.reference import ReferenceCache
from palate.training.folder import RunFolder
from palate.training.settings import DPOSettings

PAIRS = [Preference(f"w{3 + i} w4", f"w5 w{6 + i}", "w9 w10", origin=f"row {i}") for i in range(8)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sft"
    tiny.llama().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def settings(folder: Path) -> DPOSettings:
    return DPOSettings(
        output_dir=str(folder), max_steps=2, per_device_train_batch_size=4, lora_r=4,
        num_sample_prompts=0,
    )  # fmt: skip


@pytest.mark.parametrize("loss_type", ["sigmoid", "kto"])
def test_a_run_with_a_shared_reference_costs_what_it_would_cost_alone(
    base: Path, tmp_path: Path, loss_type: str
) -> None:
    """Else the first value of beta pays for all, and its sisters look cheap beside RLHF."""

    def loaded() -> Loaded:
        return load(base)

    def wanted(name: str) -> DPOSettings:
        return replace(settings(tmp_path / name), loss_type=loss_type)

    train, held_out = PAIRS[:6], PAIRS[6:]
    alone = run_dpo(wanted("alone"), loaded(), train, eval_pairs=held_out)
    cache = ReferenceCache()
    cost = fill_reference(cache, wanted("any"), loaded(), train, eval_pairs=held_out)
    assert cost.total_flops > 0
    for name in ("first", "second"):
        one = run_dpo(
            wanted(name), loaded(), train, eval_pairs=held_out, cache=cache, cache_cost=cost
        )
        assert one.cost.flops == pytest.approx(alone.cost.flops)
        passport = read_passport(one.model_dir)
        assert passport is not None
        assert passport.cost == one.cost


def _adapter(folder: Path, *, seed: int) -> Path:
    roles = tiny.roles_of(tiny.llama(), "policy")
    tiny.nudge(roles, "policy", seed=seed)
    roles.save("policy", folder)
    return folder


def test_a_run_is_not_continued_against_another_reference(tmp_path: Path) -> None:
    """Base and data are the same; the adapter that is policy's start and reference is not."""
    pairs = preferences_from_rows(some_pairs(8)).records
    wanted = DPOSettings(
        output_dir=str(tmp_path / "run"), per_device_train_batch_size=4, max_steps=2, save_steps=1
    )

    def start(name: str) -> Loaded:
        return Loaded(tiny.llama(), tiny.tokenizer(), tmp_path / name)

    for seed, name in enumerate(("a", "b")):
        _adapter(tmp_path / name, seed=seed)
    run_dpo(wanted, start("a"), pairs)
    with pytest.raises(CheckpointError, match="the reference is not what the run started with"):
        run_dpo(wanted, start("b"), pairs, frame=Frame(resume=True))
    assert run_dpo(wanted, start("a"), pairs, frame=Frame(resume=True)).result.steps == 2


def test_a_run_is_not_continued_under_other_labels(base: Path, tmp_path: Path) -> None:
    rows = [
        Demonstration(f"w{3 + i} w4", f"w5 w{6 + i}", desirable=bool(i % 2), origin=f"row {i}")
        for i in range(8)
    ]
    wanted = replace(settings(tmp_path / "run"), loss_type="bco", save_steps=1)
    run_dpo(wanted, load(base), rows)
    others = [replace(rows[0], desirable=not rows[0].desirable), *rows[1:]]
    with pytest.raises(CheckpointError, match="the data is not what the run started with"):
        run_dpo(wanted, load(base), others, frame=Frame(resume=True))
    assert run_dpo(wanted, load(base), rows, frame=Frame(resume=True)).result.steps == 2


def test_a_run_whose_reference_moved_goes_on_in_a_new_process(base: Path, tmp_path: Path) -> None:
    wanted = replace(
        settings(tmp_path / "run"), sync_ref_model=True, ref_model_sync_steps=1, save_steps=1,
        learning_rate=1e-2, logging_steps=1, max_steps=4,
    )  # fmt: skip
    straight = run_dpo(wanted, load(base), PAIRS)
    shutil.rmtree(RunFolder(tmp_path / "run").checkpoints / "step-000004")
    resumed = run_dpo(wanted, load(base), PAIRS, frame=Frame(resume=True))
    assert resumed.result.history == straight.result.history


@pytest.mark.parametrize("more", [{"loss_type": "simpo"}, {"sync_ref_model": True}])
def test_no_reference_is_filled_where_none_stays(
    base: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    cache = ReferenceCache()
    cost = fill_reference(cache, replace(settings(tmp_path), **more), load(base), PAIRS)
    assert len(cache) == 0
    assert cost.total_flops == 0
