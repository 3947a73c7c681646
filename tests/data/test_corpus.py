"""Every kind of bad row at the first, a middle and the last row is found, there, and nothing else.

The files are written by tests/data/corpus.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests import tiny
from tests.data.corpus.clean import labelled, text_pairs, tiny_pairs, turn_pairs, whole_turn_pairs
from tests.data.corpus.plants import MAX_TOKENS, PLANTS, Rows, joined, to_lines

from palate.data.check import Limit, check_data
from palate.data.fault_kinds import ACCEPTED, KINDS
from palate.data.faults import FAULTS
from palate.data.render import Renderer
from palate.data.sources import read_comparisons

NUM_ROWS = 9
NUM_ROWS_EVERYWHERE = 40
PLACES = {"first": 0, "middle": NUM_ROWS // 2, "last": NUM_ROWS - 1}
CASES = [
    pytest.param(kind, at, id=f"{kind}, {place}")
    for kind, plant in PLANTS.items()
    for place, at in ([("whole file", 0)] if plant.everywhere else PLACES.items())
    if not (plant.not_first and at == 0)
]
# Of one row, and found by the readers.
BAD_ROWS = [
    pytest.param(kind, at, id=f"{kind}, {place}")
    for kind, plant in PLANTS.items()
    for place, at in PLACES.items()
    if KINDS[kind].startswith("E") and KINDS[kind] != "E404"
    if not (plant.everywhere or plant.tokenized)
    if not (at == 0 and plant.not_first)
]


@pytest.fixture(scope="module")
def limit() -> Limit:
    return Limit(Renderer(tiny.tokenizer()), MAX_TOKENS)


def test_the_corpus_plants_every_kind_that_the_docs_name() -> None:
    assert PLANTS.keys() == KINDS.keys()
    assert len({code for code in KINDS.values() if code}) >= 45


def test_every_kind_has_a_code_that_exists() -> None:
    assert set(KINDS.values()) - FAULTS.keys() == {ACCEPTED}


@pytest.mark.parametrize(("kind", "at"), CASES)
def test_a_planted_fault_is_found_at_its_line_and_nothing_else(
    kind: str, at: int, tmp_path: Path, limit: Limit
) -> None:
    plant, code = PLANTS[kind], KINDS[kind]
    rows = plant.rows(NUM_ROWS_EVERYWHERE if plant.everywhere else NUM_ROWS)
    planted = plant.plant(rows, at)
    path, evaluation = tmp_path / "rows.jsonl", tmp_path / "evaluation.jsonl"
    path.write_bytes(planted.content)
    if planted.evaluation is not None:
        evaluation.write_bytes(planted.evaluation)
    report = check_data(
        path,
        eval_path=evaluation if planted.evaluation is not None else None,
        limit=limit if plant.tokenized else None,
    )
    found = [(group.code, group.count, group.places[0].origin) for group in report.faults]
    where = evaluation if code == "E404" else path
    assert found == ([(code, 1, f"{where}:{planted.line}")] if code else [])
    if code in ("E103", "E111"):
        return
    is_lost = code.startswith("E") and code != "E404"
    assert (report.num_rows, report.num_good) == (len(rows), len(rows) - is_lost)


@pytest.mark.parametrize(("kind", "at"), BAD_ROWS)
def test_readers_skip_exactly_the_bad_row(kind: str, at: int, tmp_path: Path) -> None:
    plant = PLANTS[kind]
    path, rejects = tmp_path / "rows.jsonl", tmp_path / "rejects.jsonl"
    path.write_bytes(plant.plant(plant.rows(NUM_ROWS), at).content)
    reading = read_comparisons(path, skip_bad=True, rejects_path=rejects)
    assert (reading.num_read, len(reading.records), reading.num_skipped) == (9, 8, 1)
    assert len(rejects.read_text().splitlines()) == 1


@pytest.mark.parametrize("rows", [text_pairs, turn_pairs, whole_turn_pairs, labelled])
def test_clean_files_are_silent(rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "clean.jsonl"
    path.write_bytes(joined(to_lines(rows(300))))
    report = check_data(path)
    assert report.faults == ()
    assert (report.num_rows, report.num_good) == (300, 300)


def test_a_clean_file_is_silent_under_a_tokenizer(tmp_path: Path, limit: Limit) -> None:
    path = tmp_path / "clean.jsonl"
    path.write_bytes(joined(to_lines(tiny_pairs(15))))
    assert check_data(path, limit=limit).faults == ()


def test_ten_thousand_clean_rows_are_silent(tmp_path: Path) -> None:
    path = tmp_path / "clean.jsonl"
    path.write_bytes(joined(to_lines(text_pairs(10_000))))
    program = "import sys\nfrom palate.cli.app import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "check", str(path), "--json"]
    # In a process of its own: checked types on every call would make it five times as long.
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["faults"] == []
    assert report["num_good"] == 10_000
