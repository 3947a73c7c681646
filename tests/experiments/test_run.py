"""A stage as a run: what it leaves behind, and what a resumed run must share with its start."""

from pathlib import Path

import pytest
from tests import tiny
from tests.cli.conftest import some_pairs

from palate.data.records import Preference
from palate.data.sources import preferences_from_rows
from palate.errors import CheckpointError
from palate.experiments.passport import read_passport
from palate.experiments.run import Frame, fill_reference, run_dpo
from palate.models.load import Loaded, load
from palate.models.reference import ReferenceCache
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


def test_a_run_with_a_shared_reference_costs_what_it_would_cost_alone(
    base: Path, tmp_path: Path
) -> None:
    """Else the first value of beta pays for all, and its sisters look cheap beside RLHF."""

    def loaded() -> Loaded:
        return load(base)

    alone = run_dpo(settings(tmp_path / "alone"), loaded(), PAIRS)
    cache = ReferenceCache()
    cost = fill_reference(cache, settings(tmp_path), loaded(), PAIRS)
    assert cost.total_flops > 0
    for name in ("first", "second"):
        one = run_dpo(settings(tmp_path / name), loaded(), PAIRS, cache=cache, cache_cost=cost)
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
