"""What a comparison refuses before anything is sampled."""

from pathlib import Path

import pytest

from palate.data.records import Prompt
from palate.errors import UsageError
from palate.experiments.compare import run_compare

PROMPTS = [Prompt(f"prompt {i}") for i in range(8)]


def test_nothing_to_judge_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--reward"):
        run_compare(
            entries=[], base=tmp_path, prompts=PROMPTS, reward=None, gold=None, output_dir=tmp_path
        )


def test_too_few_prompts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 prompts"):
        run_compare(
            entries=[], base=tmp_path, prompts=PROMPTS[:3], reward=tmp_path, gold=None,
            output_dir=tmp_path,
        )  # fmt: skip


def test_results_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="--overwrite"):
        run_compare(
            entries=[], base=tmp_path, prompts=PROMPTS, reward=tmp_path, gold=None,
            output_dir=tmp_path,
        )  # fmt: skip
