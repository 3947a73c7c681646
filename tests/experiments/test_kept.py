"""Measured arms on disk: found again as they were, and only where nothing about them changed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from palate.data.records import Prompt
from palate.experiments.arms import Arm, Decoding, Measured
from palate.experiments.compare import measure_arms
from palate.experiments.kept import GRIDS, KeptMeasures

PROMPTS = [Prompt("w3 w4 w5"), Prompt("w6 w7"), Prompt("w8")]
DECODING = Decoding(num_samples=2, max_new_tokens=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models") / "base", seed=0)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models") / "other", seed=1)


def written(folder: Path, *, seed: int) -> Path:
    tiny.llama(seed=seed).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def some_numbers(seed: int) -> Measured:
    noise = np.random.default_rng(seed).normal(size=(6, len(PROMPTS), 2))
    grids = dict(zip(GRIDS, noise, strict=True))
    return Measured(texts=[["a", "é\n"]] * len(PROMPTS), gold=None, **grids)


def kept(folder: Path, base: Path, *, decoding: Decoding = DECODING) -> KeptMeasures:
    return KeptMeasures(folder, base=base, prompts=PROMPTS, decoding=decoding)


def test_what_was_kept_is_found_bit_for_bit(tmp_path: Path, base: Path) -> None:
    measured = some_numbers(0)
    kept(tmp_path, base).keep(None, None, measured)
    found = kept(tmp_path, base).find(None, None)
    assert found is not None
    assert found.texts == measured.texts
    for name in GRIDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(measured, name))


def test_nothing_is_found_for_another_model_start_or_decoding(
    tmp_path: Path, base: Path, other: Path
) -> None:
    kept(tmp_path, base).keep(base, None, some_numbers(0))
    assert kept(tmp_path, base).find(base, None) is not None
    assert kept(tmp_path, base).find(other, None) is None
    assert kept(tmp_path, base).find(base, other) is None
    assert kept(tmp_path, other).find(base, None) is None
    assert kept(tmp_path, base, decoding=Decoding(seed=3)).find(base, None) is None


def test_a_damaged_file_is_measured_again(tmp_path: Path, base: Path) -> None:
    kept(tmp_path, base).keep(None, None, some_numbers(0))
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole.replace(b"0.", b"1.", 1), b"\xff" + whole):
        path.write_bytes(damaged)
        assert kept(tmp_path, base).find(None, None) is None


def test_a_comparison_that_was_stopped_goes_on(tmp_path: Path, base: Path, other: Path) -> None:
    """Stopped at the second arm, it samples that one alone, and ends with the same numbers."""
    arms = [Arm("sft", "sft", "sft", "SFT", {0: None}), Arm("a", "dpo", "dpo", "A", {0: other})]
    stopped, through = tmp_path / "stopped", tmp_path / "through"
    calls = 0

    def gold(prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return [float(len(text)) for text in texts]

    with pytest.raises(KeyboardInterrupt):
        measure_arms(arms[:1] + arms, base, PROMPTS, DECODING, gold=gold, keep=stopped)
    [first] = stopped.iterdir()
    stamp = first.stat().st_mtime_ns
    found = measure_arms(arms, base, PROMPTS, DECODING, gold=gold, keep=stopped)
    assert first.stat().st_mtime_ns == stamp
    again = measure_arms(arms, base, PROMPTS, DECODING, gold=gold, keep=through)
    assert len(list(stopped.iterdir())) == 2
    for name in ("sft", "a"):
        for grid in ("gold", "kl", "length"):
            np.testing.assert_array_equal(
                getattr(found[name][0], grid), getattr(again[name][0], grid)
            )
