import gzip
import json
from pathlib import Path

import datasets
import pytest

from palate.data.check import check_data
from palate.data.convert import convert
from palate.data.records import Demonstration, Preference, Prompt, Turn
from palate.data.sources import (
    comparisons_from_rows,
    demonstrations_from_rows,
    preferences_from_rows,
    prompts_from_rows,
    read_comparisons,
    read_demonstrations,
    read_preferences,
    read_prompts,
)
from palate.data.tools import tools_of
from palate.errors import DataError

GOOD = '{"prompt": "q", "chosen": "a", "rejected": "b"}'
EMPTY = '{"prompt": "q", "chosen": "", "rejected": "b"}'
CHAT = (
    '{"prompt": [{"role": "user", "content": "q"}], '
    '"chosen": [{"role": "assistant", "content": "a"}], '
    '"rejected": [{"role": "assistant", "content": "b"}]}'
)
HH = json.dumps(
    {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}
)

BAD = {
    "encoding": ("{'prompt'}", "E105"),
    "shape": ('{"prompt": "q", "chosen": "a"}', "E201"),
    "meaning": (EMPTY, "E401"),
    "conversation": (CHAT.replace('"user"', '"human"'), "E302"),
}


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_refuses_the_file_and_is_named(tmp_path: Path, kind: str, place: int) -> None:
    bad, code = BAD[kind]
    lines = [GOOD, GOOD]
    lines.insert(place - 1, bad)
    path = _write(tmp_path / "a.jsonl", *lines)
    with pytest.raises(DataError) as error:
        read_preferences(path)
    message = str(error.value)
    assert f"{path}: 1 row of 3 cannot be used:\n  {path}:{place} {code} " in message
    assert "--skip-bad" in message
    reading = read_preferences(path, skip_bad=True)
    assert (reading.num_read, reading.num_skipped, len(reading.records)) == (3, 1, 2)
    assert [(fault.code, fault.origin) for fault in reading.faults] == [(code, f"{path}:{place}")]


def test_a_clean_file_is_silent(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", GOOD, GOOD)
    reading = read_preferences(path)
    assert reading.records == [
        Preference("q", "a", "b", origin=f"{path}:1"),
        Preference("q", "a", "b", origin=f"{path}:2"),
    ]
    assert (reading.num_read, reading.num_skipped, reading.faults) == (2, 0, [])
    assert reading.format == "explicit prompt, text"


def test_ten_bad_rows_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", GOOD, *[EMPTY] * 12, "oops")
    with pytest.raises(DataError) as error:
        read_preferences(path)
    lines = str(error.value).split("\n")
    assert lines[0] == f"{path}: 13 rows of 14 cannot be used:"
    assert lines[10] == f"  {path}:11 E401 chosen is empty"
    assert lines[11] == "  … and 3 more"
    assert lines[12] == "Fix:"
    assert lines[13].startswith("  E401 (empty response, 12): ")
    assert lines[14].startswith("  E105 (not JSON, 1): ")


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ((GOOD, CHAT, GOOD), 2),
        ((GOOD, GOOD, HH), 3),
        ((CHAT, CHAT, GOOD), 3),
        ((HH, '{"chosen": "Q: a", "rejected": "Q: b"}'), 2),
        (("oops", GOOD, CHAT), 3),
        ((HH, GOOD, GOOD), 1),
        ((CHAT, *[GOOD] * 12), 1),
    ],
)
def test_most_of_the_first_rows_decide_the_format(
    tmp_path: Path, lines: tuple[str, ...], place: int
) -> None:
    path = _write(tmp_path / "a.jsonl", *lines)
    reading = read_preferences(path, skip_bad=True)
    assert (reading.faults[-1].code, reading.faults[-1].origin) == ("E205", f"{path}:{place}")
    checked = [group for group in check_data(path).faults if group.code == "E205"]
    assert [group.places[0].origin for group in checked] == [f"{path}:{place}"]


def test_the_look_ahead_ends_after_a_hundred_rows() -> None:
    rows = [json.loads(line) for line in [GOOD] * 51 + [CHAT] * 200]
    assert preferences_from_rows(rows, skip_bad=True).num_skipped == 200


def test_warnings_keep_their_row(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", GOOD, GOOD.replace('"q"', '""'))
    reading = read_preferences(path)
    assert (len(reading.records), reading.num_skipped) == (2, 0)
    assert [(fault.code, fault.origin) for fault in reading.faults] == [("W401", f"{path}:2")]


def test_rejects_are_written_and_read_again_once_mended(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", GOOD, EMPTY, '{"prompt": "q2", "chosen": "a"', GOOD)
    rejects = tmp_path / "out" / "rejects.jsonl"
    read_preferences(path, skip_bad=True, rejects_path=rejects)
    rows = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {
        "origin": f"{path}:2",
        "code": "E401",
        "message": "chosen is empty",
        "row": json.loads(EMPTY),
    }
    assert (rows[1]["code"], rows[1]["row"]) == ("E105", '{"prompt": "q2", "chosen": "a"')
    assert list(rejects.parent.iterdir()) == [rejects]

    with pytest.raises(DataError, match=f"{rejects}:1 E401(.|\n)*{rejects}:2 E105"):
        read_preferences(rejects)
    rows[0]["row"]["chosen"] = "mended"
    rows[1]["row"] += ', "rejected": "b"}'
    rejects.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert [pair.chosen for pair in read_preferences(rejects).records] == ["mended", "a"]


def test_no_rejects_write_an_empty_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", GOOD)
    rejects = tmp_path / "rejects.jsonl"
    read_preferences(path, skip_bad=True, rejects_path=rejects)
    assert rejects.read_text(encoding="utf-8") == ""


def test_skipping_never_leaves_nothing(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", EMPTY)
    with pytest.raises(DataError, match="--skip-bad cannot help"):
        read_preferences(path, skip_bad=True)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_rows_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jsonl: no rows; the file is empty"):
        read_preferences(path, skip_bad=True)


def test_a_missing_file_and_a_folder_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_preferences(tmp_path / "nowhere.jsonl")
    with pytest.raises(DataError, match="this is a folder"):
        read_prompts(tmp_path)


def test_demonstrations_come_from_pairs_only_when_asked(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", GOOD)
    with pytest.raises(DataError, match="use_chosen"):
        read_demonstrations(path)
    reading = read_demonstrations(path, use_chosen=True)
    assert reading.records == [Demonstration("q", "a", origin=f"{path}:1")]
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    path = _write(tmp_path / "b.jsonl", json.dumps({"messages": messages}))
    expected = Demonstration((Turn("user", "q"),), "a", origin=f"{path}:1")
    assert read_demonstrations(path).records == [expected]


def test_free_text_has_no_prompt_and_no_warning(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", '{"text": "Once"}')
    reading = read_demonstrations(path)
    assert (reading.records[0].prompt, reading.faults) == ("", [])


def test_prompts_come_from_prompts_and_from_pairs(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "q", "id": "first"}'))
    assert read_prompts(path).records == [Prompt("q", "first", f"{path}:1")]
    path = _write(tmp_path / "b.jsonl", HH)
    assert read_prompts(path).records == [Prompt((Turn("user", "q"),), "", f"{path}:1")]


def test_rows_in_memory_are_numbered_from_zero() -> None:
    rows = [json.loads(GOOD), json.loads(EMPTY)]
    with pytest.raises(DataError, match="the rows: 1 row of 2(.|\n)*row 1 E401 chosen is empty"):
        preferences_from_rows(rows)
    reading = preferences_from_rows(rows, skip_bad=True)
    assert reading.records == [Preference("q", "a", "b", origin="row 0")]
    assert prompts_from_rows([{"prompt": "q"}], origin="eval").records == [
        Prompt("q", "", "eval 0")
    ]
    demonstrations = demonstrations_from_rows(rows[:1], use_chosen=True)
    assert demonstrations.records == [Demonstration("q", "a", origin="row 0")]
    with pytest.raises(DataError, match="no rows"):
        preferences_from_rows([])


def test_a_saved_dict_of_data_sets_is_read_where_it_has_one_split(tmp_path: Path) -> None:
    table = datasets.Dataset.from_list([json.loads(CHAT)])
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path / "one"))
    assert len(read_preferences(tmp_path / "one").records) == 1
    two = tmp_path / "two"
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(str(two))
    with pytest.raises(DataError, match="name one of its splits") as caught:
        read_preferences(two)
    assert str(two / "train") in str(caught.value)
    assert len(read_preferences(two / "test").records) == 1


def test_a_damaged_saved_data_set_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    datasets.Dataset.from_list([json.loads(CHAT)]).save_to_disk(str(folder))
    (folder / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="save it again"):
        read_preferences(folder)


def test_a_data_set_reads_like_its_rows(tmp_path: Path) -> None:
    rows = [json.loads(CHAT), json.loads(CHAT) | {"weight": 2.0}]
    table = datasets.Dataset.from_list([row | {"weight": row.get("weight")} for row in rows])
    expected = preferences_from_rows(rows).records
    assert expected[1].weight == 2.0
    assert preferences_from_rows(table).records == expected
    table.save_to_disk(str(tmp_path / "saved"))
    saved = read_preferences(tmp_path / "saved").records
    assert [pair.origin for pair in saved] == [f"{tmp_path / 'saved'} row {i}" for i in (0, 1)]
    assert [pair.chosen for pair in saved] == ["a", "a"]


def test_comparisons_keep_to_one_kind(tmp_path: Path) -> None:
    labelled = [
        {"prompt": "q", "completion": "good", "label": True},
        {"prompt": "q", "completion": "bad", "label": False},
    ]
    pair = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    found = comparisons_from_rows(labelled).records
    assert [r.desirable for r in found if isinstance(r, Demonstration)] == [True, False]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*labelled, pair]))
    with pytest.raises(DataError, match=r"rows.jsonl:3.*E205"):
        read_comparisons(path)


def test_tools_stay_with_their_row_and_are_told_of_beside_a_text(tmp_path: Path) -> None:
    row = json.loads(CHAT) | {"tools": [{"name": "look_up"}]}
    path = _write(tmp_path / "a.jsonl", json.dumps(row))
    reading = read_preferences(path)
    assert (reading.faults, reading.num_without) == ([], 0)
    assert [tools_of(record.columns) for record in reading.records] == [({"name": "look_up"},)]
    convert(str(path), str(tmp_path / "b.jsonl"))
    assert json.loads((tmp_path / "b.jsonl").read_text()) == row
    # A table holds them as text; read again they are the same.
    convert(str(path), str(tmp_path / "c.parquet"))
    (again,) = read_preferences(tmp_path / "c.parquet").records
    assert tools_of(again.columns) == ({"name": "look_up"},)
    text = {"prompt": "q", "chosen": "a", "rejected": "b", "tools": [{"name": "look_up"}]}
    reading = read_preferences(_write(tmp_path / "d.jsonl", json.dumps(text)))
    assert ([fault.code for fault in reading.faults], reading.num_without) == (["W506"], 0)


@pytest.mark.parametrize("tools", ["look_up", {"name": "look_up"}, ["look_up"], "{"])
def test_tools_that_are_no_list_of_objects_are_refused(tmp_path: Path, tools: object) -> None:
    row = json.loads(CHAT) | {"tools": tools}
    with pytest.raises(DataError, match=r"a.jsonl:1.*tools is .*not a list of objects"):
        read_preferences(_write(tmp_path / "a.jsonl", json.dumps(row)))


@pytest.mark.parametrize("tools", [None, [], ""])
def test_no_tools_are_no_tools(tmp_path: Path, tools: object) -> None:
    row = json.loads(CHAT) | {"tools": tools}
    reading = read_preferences(_write(tmp_path / "a.jsonl", json.dumps(row)))
    assert [tools_of(record.columns) for record in reading.records] == [()]


def test_rows_that_give_nothing_are_counted_apart_from_bad_ones(tmp_path: Path) -> None:
    row = {"prompt": "q", "responses": ["a", "b"], "scores": [1, 1]}
    path = _write(tmp_path / "a.jsonl", json.dumps(row), json.dumps(row | {"scores": [1, 2]}))
    reading = read_preferences(path)
    assert (reading.num_read, reading.num_skipped, reading.num_without) == (2, 0, 1)
    assert reading.told_without() == "1 of 2 rows give no record (nothing ranked 1)"
    path = _write(tmp_path / "b.jsonl", json.dumps(row))
    with pytest.raises(DataError, match="nothing to learn from: 1 of 1 rows give no record"):
        read_preferences(path)
    with pytest.raises(DataError, match="nothing to learn from"):
        convert(str(path), str(tmp_path / "c.jsonl"))
    assert not (tmp_path / "c.jsonl").exists()
