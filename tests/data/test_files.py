"""Every kind of file gives the same rows, and what is no such file is one clear error."""

import csv
import gzip
import io
import json
import os
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from palate.data import unpack
from palate.data.files import lines_of
from palate.data.json_array import split_array
from palate.data.layout import Layout
from palate.data.lines import Line
from palate.data.sources import preferences_from_rows, read_preferences
from palate.data.writers import writing
from palate.errors import DataError

ROWS: list[dict[str, object]] = [
    {"prompt": "q, \"x\"\nsecond line", "chosen": "=a", "rejected": "b\t", "weight": 2.0},
    {"prompt": "'q", "chosen": "'=a", "rejected": "-b", "weight": 0.5},
]  # fmt: skip
ENDS = [
    "jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz", "jsonl.zst", "json.gz", "csv.zst",
    "tsv.gz",
]  # fmt: skip


def lines(path: Path, max_line_bytes: int = 2**24) -> list[Line]:
    return list(lines_of(path, Layout(max_line_bytes=max_line_bytes)))


def faults(path: Path) -> list[tuple[str, str]]:
    """Code and line of each fault."""
    found = [line.fault for line in lines(path) if line.fault is not None]
    return [(fault.code, fault.origin.rpartition(":")[2]) for fault in found]


@pytest.mark.parametrize("end", ENDS)
def test_every_kind_of_file_gives_the_rows_that_were_written(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"rows.{end}"
    with writing(str(path)) as write:
        for row in ROWS:
            write(row)
    assert [line.row for line in lines(path)] == ROWS
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("end", ["jsonl.gz", "jsonl.zst", "json", "csv"])
def test_standard_input_is_known_by_its_first_bytes(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"rows.{end}"
    with writing(str(path)) as write:
        for row in ROWS:
            write(row)
    with path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        found = list(lines_of("-"))
    assert [line.row for line in found] == ROWS
    assert found[0].origin.startswith("-:")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
risky = st.sampled_from(["=1+1", "+x", "-x", "@x", "\tx", "\rx", "'=x", "''=x", "'", '"', "a,b\n"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cells | risky, cells | risky), min_size=1, max_size=4))
def test_any_text_comes_back_from_csv_and_none_of_it_is_a_formula(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    rows = [{"prompt": "q", "chosen": a, "rejected": b} for a, b in texts]
    with writing(str(path)) as write:
        for row in rows:
            write(row)
    assert [line.row for line in lines(path)] == rows
    with path.open(newline="", encoding="utf-8") as file:
        for cell in (cell for row in csv.reader(file) for cell in row):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_csv_cells_are_read_as_what_their_columns_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "\ufeffprompt,completion,label,weight,messages,other\r\n"
        'q,"[{""role"": ""assistant"", ""content"": ""a""}]",TRUE,1.5,,\r\n'
        '"","[{not turns",0,,"[1]",x\r\n'
        ",,,,,\r\n"
    )
    turns = [{"role": "assistant", "content": "a"}]
    assert [line.row for line in lines(path)] == [
        {"prompt": "q", "completion": turns, "label": True, "weight": 1.5},
        {"prompt": "", "completion": "[{not turns", "label": False, "messages": [1], "other": "x"},
    ]


def test_faults_of_csv_have_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'prompt,chosen,rejected\nq,a,b\nq,a\n"q\nq",a,b\nq,"a"x,b\nq,\xff,b\nq,a\0,b\nq,a,b\n"q,a'
    )
    assert faults(path) == [
        ("E504", "3"), ("E505", "6"), ("E101", "7"), ("E102", "8"), ("E505", "10")
    ]  # fmt: skip
    assert [line.origin.rpartition(":")[2] for line in lines(path) if line.row] == ["2", "4", "9"]
    path.write_text("prompt;chosen;rejected\nq;a;b\n")
    (header,) = lines(path)
    assert header.fault is not None
    assert (header.fault.code, "a semicolon stands" in header.fault.message) == ("E507", True)
    path.write_text("prompt,prompt\nq,a\n")
    assert faults(path) == [("E107", "1")]
    path.write_bytes(b"prompt,chosen,rejected\nq,a,b\nq," + b"a" * 2000 + b",b\nq,a,b\n")
    found = lines(path, 1000)
    assert [line.fault and line.fault.code for line in found] == [None, "E110"]


GOOD = {"prompt": 'a "b" [c] {d} \\ \u00e9', "chosen": "x", "rejected": "y\\\\"}


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 2**18])
def test_an_array_is_cut_at_its_commas_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch, indent: int | None, chunk: int
) -> None:
    monkeypatch.setattr("palate.data.json_array._CHUNK", chunk)
    rows = [GOOD, {"prompt": [{"role": "user", "content": "]},{["}]}, {}]
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    found = list(split_array(io.BufferedReader(io.BytesIO(text.encode())), "a"))
    assert [line.row for line in found] == rows
    if indent is not None:
        starts = [i for i, line in enumerate(text.splitlines(), 1) if line.strip() in ("{", "{}")]
        shallow = [starts[0], starts[1], starts[-1]]
        assert [line.origin for line in found] == [f"a:{number}" for number in shallow]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[{"a": 1},\n{"a": 2]\n', [("E506", "2")]),
        ('[{"a": 1}\n,\n3, {"a": 2}]', [("E106", "3")]),
        ('[{"a": 1},\n]', [("E105", "2")]),
        ('[{"a": 1},\n{"a": 3}]\n\n{"a": 2}', [("E506", "4")]),
        ('[{"a": 1}, {"a": NaN}]', [("E108", "1")]),
        ('[{"a": "x', [("E506", "1")]),
        ('[{"a": 1}]\n{"a": 2}', [("E106", "1")]),  # lines, of which the first is a list
    ],
)
def test_faults_of_an_array_have_their_lines(
    tmp_path: Path, text: str, found: list[tuple[str, str]]
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert faults(path) == found


def test_an_element_above_the_limit_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'[{{"a": 1}},\n{{"a": "{"x" * 5000}"}},\n{{"a": 2}}]')
    found = lines(path, 1000)
    assert [(line.row, line.fault and line.fault.code) for line in found] == [
        ({"a": 1}, None), (None, "E110"), ({"a": 2}, None)
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["gz", "zst"])
def test_a_bomb_stops_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(unpack, "MIN_UNPACKED_BYTES", 2**16)
    path = tmp_path / f"a.jsonl.{end}"
    blanks = b" " * 2**24
    packed = gzip.compress(blanks) if end == "gz" else pa.compress(blanks, "zstd", asbytes=True)
    path.write_bytes(packed)
    with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
        lines(path)


def test_a_parquet_bomb_stops_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.data.tables.MIN_UNPACKED_BYTES", 2**16)
    path = tmp_path / "a.parquet"
    # One long text, stored once and meant ten thousand times.
    parquet.write_table(pa.table({"prompt": ["x" * 2**12] * 10_000}), path)
    assert path.stat().st_size * 100 < 2**12 * 10_000
    with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
        lines(path)


@pytest.mark.parametrize("damage", ["cut", "changed"])
@pytest.mark.parametrize("end", ["zst", "parquet"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, end: str, damage: str) -> None:
    path = tmp_path / ("a.parquet" if end == "parquet" else "a.jsonl.zst")
    with writing(str(path)) as write:
        for number in range(200):
            write({"prompt": f"q{number * number}"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content = (
        content[:middle]
        if damage == "cut"
        else content[:middle] + b"#" * 99 + content[middle + 99 :]
    )
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged (zstd|Parquet) file"):
        lines(path)


def test_odd_files_are_refused(tmp_path: Path) -> None:
    pipe, link, loop = tmp_path / "pipe", tmp_path / "link", tmp_path / "loop"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "gone.jsonl")
    loop.symlink_to(loop)
    for path, words in (
        (pipe, "neither a file nor a folder"),
        (link, r"a link to .*gone\.jsonl, which is not there"),
        (loop, "cannot be read"),
        (Path("/dev/null"), "neither a file nor a folder"),
        (tmp_path, "this is a folder"),
    ):
        with pytest.raises(DataError, match=words):
            lines(path)
    (tmp_path / "gone.jsonl").write_text('{"prompt": "q"}')
    assert [line.row for line in lines(link)] == [{"prompt": "q"}]


def test_a_name_that_is_no_file_may_be_one_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no such file in .* data set of the hub it cannot"):
        list(lines_of("nobody-here/nothing:train"))
    with pytest.raises(DataError, match="there is no such file; check the path"):
        list(lines_of("folder/rows.jsonl"))
    table = datasets.Dataset.from_list([{"prompt": "q"}])
    splits = datasets.DatasetDict({"train": table, "test": table})

    def load(name: str, split: str | None) -> object:
        assert name == "owner/name"
        return splits if split is None else splits[split]

    monkeypatch.setattr(datasets, "load_dataset", load)
    found = list(lines_of("owner/name:test"))
    assert [(line.origin, line.row) for line in found] == [
        ("owner/name:test row 0", {"prompt": "q"})
    ]
    with pytest.raises(DataError, match="name one of them: owner/name:train, owner/name:test"):
        list(lines_of("owner/name"))


def test_columns_are_renamed_before_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,good,bad,prompt\nq,a,b,other\n")
    layout = Layout(columns={"prompt": "question", "chosen": "good", "rejected": "bad"})
    (pair,) = read_preferences(path, layout=layout).records
    assert (pair.prompt, pair.chosen, pair.rejected) == ("q", "a", "b")
    swapped = Layout(columns={"chosen": "rejected", "rejected": "chosen"})
    rows = [{"prompt": "q", "chosen": "worse", "rejected": "better"}]
    (pair,) = preferences_from_rows(rows, layout=swapped).records
    assert (pair.chosen, pair.rejected) == ("better", "worse")


def message(
    number: int, parent: int | None, tree: str, role: str, **more: object
) -> dict[str, object]:
    return {"message_id": str(number), "parent_id": None if parent is None else str(parent),
            "message_tree_id": tree, "role": role, "text": f"text {number}", **more}  # fmt: skip


def test_messages_of_a_tree_are_put_together() -> None:
    tree = [
        message(1, None, "a", "prompter"),
        message(2, 1, "a", "assistant", rank=1),
        message(3, 1, "a", "assistant", rank=0),
        message(4, None, "b", "prompter"),
        message(5, 4, "b", "assistant", rank=0),
    ]
    reading = preferences_from_rows(tree)
    (pair,) = reading.records
    assert (pair.chosen, pair.rejected, pair.origin) == ("text 3", "text 2", "row 0")
    assert [fault.code for fault in reading.faults] == ["W503"]
    apart = preferences_from_rows([*tree, tree[1]], skip_bad=True)
    assert [(f.code, f.origin) for f in apart.faults if f.severity == "error"] == [
        ("E503", "row 5")
    ]
    orphan = preferences_from_rows([*tree, message(6, 9, "c", "assistant")], skip_bad=True)
    assert "0 first messages" in next(f.message for f in orphan.faults if f.code == "E503")
