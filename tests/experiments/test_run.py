"""A stage as a run: what it leaves behind, whatever it shares with other runs."""

from pathlib import Path

import pytest
from tests import tiny

from palate.data.records import Preference
from palate.experiments.passport import read_passport
from palate.experiments.run import fill_reference, run_dpo
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
