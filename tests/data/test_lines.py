import gzip
import json
from pathlib import Path

import pytest

from palate.data import unpack
from palate.data.files import lines_of
from palate.data.layout import Layout
from palate.data.lines import Line
from palate.errors import DataError


def read_lines(path: Path, max_line_bytes: int = 2**24) -> list[Line]:
    return list(lines_of(path, Layout(max_line_bytes=max_line_bytes)))


GOOD = b'{"prompt": "q"}'

# What stands on one line of a file, and the code that it must get.
BAD_LINES = {
    "invalid UTF-8": (b'{"prompt": "\xff"}', "E101"),
    "Latin-1": ('{"prompt": "café"}'.encode("latin-1"), "E101"),
    "NUL": (b'{"prompt": "a\0b"}', "E102"),
    "UTF-16 without a mark": ('{"prompt": "q"}'.encode("utf-16-le").strip(b"\n"), "E102"),
    "not JSON": (b"prompt,chosen,rejected", "E105"),
    "cut off": (b'{"prompt": "q', "E105"),
    "trailing comma": (b'{"prompt": "q",}', "E105"),
    "two objects": (b'{"prompt": "q"} {"prompt": "q"}', "E105"),
    "integer of 5000 digits": (b'{"prompt": "q", "id": ' + b"9" * 5000 + b"}", "E105"),
    "array": (b'["q", "a"]', "E106"),
    "number": (b"3", "E106"),
    "string": (b'"q"', "E106"),
    "null": (b"null", "E106"),
    "duplicate key": (b'{"prompt": "q", "prompt": "q"}', "E107"),
    "duplicate key inside": (b'{"a": [{"b": 1, "b": 2}]}', "E107"),
    "NaN": (b'{"prompt": "q", "weight": NaN}', "E108"),
    "Infinity": (b'{"prompt": "q", "weight": -Infinity}', "E108"),
    "nested 1,000 deep": (b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b"}", "E109"),
    "nested 100,000 deep": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "E109"),
    "nested 33 deep": (b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}", "E109"),
}


def test_objects_spread_over_lines_are_one_fault_that_says_how_to_mend_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"prompt": "q", "chosen": "x", "rejected": "y"}
    path.write_text(f"{json.dumps(row, indent=2)}\n{json.dumps(row, indent=2)}\n", "utf-8")
    (line,) = read_lines(path)
    assert line.fault is not None
    assert (line.fault.code, line.fault.origin) == ("E105", f"{path}:1")
    assert "jq -c . FILE" in line.fault.message


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_line_is_found_where_it_stands(tmp_path: Path, kind: str, place: int) -> None:
    bad, code = BAD_LINES[kind]
    content = [GOOD, GOOD, GOOD]
    content[place - 1] = bad
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(content))
    found = read_lines(path)
    assert [line.origin for line in found] == [f"{path}:{i}" for i in (1, 2, 3)]
    faults = [line.fault for line in found if line.fault is not None]
    assert [(fault.code, fault.origin) for fault in faults] == [(code, f"{path}:{place}")]
    assert [line.row for line in found if line.fault is None] == [{"prompt": "q"}] * 2


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD + b"\n",
        GOOD + b"\r\n" + GOOD + b"\r\n",
        GOOD + b"\n" + GOOD,
        b"\n\n" + GOOD + b"\n \t\n" + GOOD + b"\n\n",
    ],
    ids=["byte-order mark", "CRLF", "no last line break", "blank lines"],
)
def test_ways_to_write_the_same_rows(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    found = read_lines(path)
    assert [(line.row, line.fault) for line in found] == [({"prompt": "q"}, None)] * 2


def test_blank_lines_count_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n\n" + GOOD)
    assert [line.origin for line in read_lines(path)] == [f"{path}:3"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_wide_file_is_one_fault(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes((GOOD.decode() + "\n").encode(encoding) * 3)
    faults = [line.fault for line in read_lines(path)]
    assert [fault and fault.code for fault in faults] == ["E103"]


def test_a_line_at_the_limit_is_read_and_one_above_is_passed_over(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    fits = b'{"prompt": "' + b"q" * (2**20 - 15) + b'"}\n'
    assert len(fits) == 2**20
    path.write_bytes(fits + b"[" * (5 * 2**20) + b"\n" + GOOD)
    found = read_lines(path, 2**20)
    assert [line.fault and line.fault.code for line in found] == [None, "E110", None]
    assert found[2].origin == f"{path}:3"
    assert len(str(found[1].raw)) == 1000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl"])
def test_gzip_is_known_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(GOOD + b"\n" + b"oops\n"))
    found = read_lines(path)
    assert [(line.origin, line.row) for line in found] == [
        (f"{path}:1", {"prompt": "q"}),
        (f"{path}:2", None),
    ]


def test_plain_text_under_a_gzip_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(GOOD)
    assert [line.row for line in read_lines(path)] == [{"prompt": "q"}]


def test_a_gzip_bomb_stops_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MIN_UNPACKED_BYTES", 2**16)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * 2**22))
    assert path.stat().st_size * 100 < 2**22
    with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
        read_lines(path)


def test_a_real_gzip_file_passes_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MIN_UNPACKED_BYTES", 1)
    rows = b"".join(json.dumps({"prompt": f"q{i * i}"}).encode() + b"\n" for i in range(1000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(rows))
    assert sum(line.fault is None for line in read_lines(path)) == 1000


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_gzip_file_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(GOOD * 100))
    packed = packed[:-9] if damage == "cut" else packed[:-8] + bytes(8)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed)
    with pytest.raises(DataError, match="damaged gzip file"):
        read_lines(path)


def test_what_is_no_jsonl_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(read_lines(tmp_path / "nowhere.jsonl"))
    with pytest.raises(DataError, match="this is a folder"):
        list(read_lines(tmp_path))
    (tmp_path / "a.parquet").write_bytes(b"PAR1....PAR1")
    with pytest.raises(DataError, match="damaged Parquet file"):
        list(read_lines(tmp_path / "a.parquet"))
