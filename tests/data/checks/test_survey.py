import json
from pathlib import Path

import pytest
from tests.data.corpus.clean import text_pairs

from palate.data.check import check_data
from palate.data.checks import indexes as indexes_module
from palate.data.checks import survey as survey_module
from palate.errors import UsageError


@pytest.fixture
def repeating(tmp_path: Path) -> Path:
    """Sixty pairs; the last repeats the first, the one before it nearly repeats the second."""
    rows = text_pairs(60)
    rows[1]["chosen"] += " And so on, until all parts of it are as dry as they were." * 10
    rows[58] = rows[1] | {"chosen": rows[1]["chosen"] + " Good."}
    rows[59] = dict(rows[0])
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_large_files_are_indexed_on_disk_with_the_same_result(
    repeating: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = check_data(repeating)
    assert [(g.code, g.places[0].origin) for g in in_memory.faults] == [
        ("W406", f"{repeating}:60"),
        ("W417", f"{repeating}:59"),
    ]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr(survey_module, "_SMALL_BYTES", 0)
    assert check_data(repeating) == in_memory
    assert list(scratch.iterdir()) == []


def test_no_room_for_the_index_is_one_clear_error(
    repeating: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_module, "_SMALL_BYTES", 0)
    # A folder in the index's place: SQLite cannot open a file there.
    scratch = tmp_path / "scratch"
    (scratch / "palate-check-full" / "seen.sqlite3").mkdir(parents=True)

    class Full:
        def __enter__(self) -> str:
            return str(scratch / "palate-check-full")

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(indexes_module, "TemporaryDirectory", lambda prefix: Full())
    with pytest.raises(UsageError, match="set TMPDIR to a folder with room"):
        check_data(repeating)
