"""Rejects are written whole or not at all, and only errors of their own name them."""

from pathlib import Path

import pytest

from palate.data.rejects import rejects_file
from palate.errors import UsageError


def test_what_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    target = tmp_path / "plain" / "rejects.jsonl"
    with pytest.raises(UsageError, match="cannot be written"), rejects_file(target):
        pass


def _read_and_fail(target: Path) -> None:
    with rejects_file(target) as write:
        write({"row": 1})
        raise OSError("the source is gone")


def test_an_error_of_what_is_read_is_not_one_of_the_rejects(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the source is gone"):
        _read_and_fail(tmp_path / "rejects.jsonl")
    assert list(tmp_path.iterdir()) == []
