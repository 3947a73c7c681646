"""Training from cached tokens is training: the same numbers, to the last bit."""

from pathlib import Path

import pytest
from tests.cli.conftest import Palate

from palate.data import token_cache


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_a_run_from_the_cache_is_the_run_without(
    palate: Palate, model: Path, pairs: Path, shown: Path, recipe: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, stage: str,
) -> None:  # fmt: skip
    cache = tmp_path / "cache"
    monkeypatch.setenv("PALATE_CACHE", str(cache))
    data = shown if stage == "sft" else pairs

    def metrics(name: str) -> bytes:
        run = tmp_path / name
        said = palate(
            stage, "--config", recipe, "--model", model, "--data", data, "--eval-fraction", "0.4",
            "--output-dir", run,
        )  # fmt: skip
        assert said.code == 0, said.err
        return (run / "metrics.jsonl").read_bytes()

    without = metrics("without")
    assert not cache.exists()
    monkeypatch.setattr(token_cache, "MIN_ROWS", 1)
    assert metrics("written") == without
    files = {path: path.stat().st_mtime_ns for path in (cache / "tokens").iterdir()}
    assert len(files) == 2  # rows to train on, and rows held out
    assert metrics("found") == without
    assert {path: path.stat().st_mtime_ns for path in (cache / "tokens").iterdir()} == files
