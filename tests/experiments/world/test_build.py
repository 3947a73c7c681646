from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from palate.experiments.world import build, tokens
from palate.experiments.world.build import BuildSettings, build_base_model

TINY = BuildSettings(
    num_steps=3,
    rows_per_step=4,
    num_warmup_steps=2,
    num_decay_steps=1,
    hidden_size=64,
    num_layers=1,
)


def _weights(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


@pytest.fixture
def _few_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "POOL_BATCHES", 2)
    monkeypatch.setattr(tokens, "SAMPLE_SIZE", 50)


@pytest.mark.usefixtures("_few_passages")
def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path: Path) -> None:
    settings = replace(TINY, num_threads=torch.get_num_threads())
    build_base_model(tmp_path / "first", settings)
    build_base_model(tmp_path / "again", settings)
    build_base_model(tmp_path / "other", replace(settings, seed=1))
    assert _weights(tmp_path / "first") == _weights(tmp_path / "again")
    assert _weights(tmp_path / "first") != _weights(tmp_path / "other")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "first")
    assert model.dtype == torch.bfloat16


def test_learning_rate_warms_up_stays_and_falls_to_nearly_nothing() -> None:
    settings = BuildSettings(num_steps=12, num_warmup_steps=2, num_decay_steps=4, learning_rate=1.0)
    rates = [build._learning_rate(step, settings) for step in range(12)]
    assert rates[:2] == [0.5, 1.0]
    assert rates[2:9] == [1.0] * 7
    assert rates[9:] == pytest.approx([0.75, 0.5, 0.25])
