"""A stage as a run: what a resumed run must share with the one that it continues."""

from pathlib import Path

import pytest
from tests import tiny
from tests.cli.conftest import some_pairs

from palate.data.sources import preferences_from_rows
from palate.errors import CheckpointError
from palate.experiments.run import Frame, run_dpo
from palate.models.load import Loaded
from palate.training.settings import DPOSettings


def _adapter(folder: Path, *, seed: int) -> Path:
    roles = tiny.roles_of(tiny.llama(), "policy")
    tiny.nudge(roles, "policy", seed=seed)
    roles.save("policy", folder)
    return folder


def test_a_run_is_not_continued_against_another_reference(tmp_path: Path) -> None:
    """Base and data are the same; the adapter that is policy's start and reference is not."""
    pairs = preferences_from_rows(some_pairs(8)).records
    settings = DPOSettings(
        output_dir=str(tmp_path / "run"), per_device_train_batch_size=4, max_steps=2, save_steps=1
    )

    def start(name: str) -> Loaded:
        return Loaded(tiny.llama(), tiny.tokenizer(), tmp_path / name)

    for seed, name in enumerate(("a", "b")):
        _adapter(tmp_path / name, seed=seed)
    run_dpo(settings, start("a"), pairs)
    with pytest.raises(CheckpointError, match="the reference is not what the run started with"):
        run_dpo(settings, start("b"), pairs, frame=Frame(resume=True))
    assert run_dpo(settings, start("a"), pairs, frame=Frame(resume=True)).result.steps == 2
