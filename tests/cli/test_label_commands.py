"""From votes to a trained and compared model by commands; and what a wrong command is told."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Palate, some_pairs, write_rows

from palate.collection import CollectionSettings, Store, open_store
from palate.collection.reading import read_items
from palate.data.sources import read_preferences


def vote_on_all(store: Store, better: dict[str, str], *, seed: int) -> None:
    """Let a new annotator vote on every pair, right nine times of ten."""
    generator = np.random.default_rng(seed)
    annotator, _ = store.add_annotator(f"person {seed}")
    while questions := store.questions(annotator.id, count=2):
        question = questions[0]
        is_left = (question.left == better[str(question.prompt)]) == (generator.random() < 0.9)
        store.vote(annotator.id, question.id, "left" if is_left else "right", latency_ms=5000)


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pairs on which three people voted."""
    folder = tmp_path_factory.mktemp("votes")
    rows = some_pairs(60)
    data = write_rows(folder / "pairs.jsonl", rows)
    path = folder / "pairs.votes"
    with open_store(path, settings=CollectionSettings(votes_per_item=3, salt="test")) as store:
        store.add_items(read_items(data))
        for seed in range(3):
            vote_on_all(store, {row["prompt"]: row["chosen"] for row in rows}, seed=seed)
    return path


@pytest.fixture
def votes(voted: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copy(voted, tmp_path))


def test_sixty_votes_become_a_compared_model(
    palate: Palate, votes: Path, model: Path, recipe: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "voted.jsonl"
    said = palate("label-export", votes, "--output", pairs)
    assert said.code == 0
    assert said.err == "60 pairs by majority; left out: none\n"
    rows = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 60
    assert {round(row["weight"], 2) for row in rows} == {0.67, 1.0}
    assert palate("check", pairs).code == 0

    for stage in ("dpo", "reward"):
        said = palate(stage, "--config", recipe, "--model", model, "--data", pairs, "--use-peft",
                      "--output-dir", tmp_path / stage, "--json")  # fmt: skip
        assert (said.code, said.json["steps"]) == (0, 2)
    out = tmp_path / "compared"
    said = palate("compare", "--arm", f"voted={tmp_path / 'dpo'}", "--base", model,
                  "--reward", tmp_path / "reward", "--prompts", pairs, "--num-samples", "1",
                  "--max-new-tokens", "4", "--output-dir", out, "--json")  # fmt: skip
    assert said.code == 0
    assert set(said.json["arms"]) >= {"voted"}
    assert (out / "report.html").exists()


def test_a_spreadsheet_has_a_row_a_pair(palate: Palate, votes: Path, tmp_path: Path) -> None:
    table = tmp_path / "voted.csv"
    assert palate("label-export", votes, "--rule", "unanimous", "--output", table).code == 0
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert 30 < len(rows) < 60
    assert {row["weight"] for row in rows} == {"1.0"}


def test_an_export_replaces_nothing_unasked_and_holds_what_its_name_says(
    palate: Palate, votes: Path, tmp_path: Path
) -> None:
    for name in ("voted.parquet", "voted.json", "voted.tsv", "voted.jsonl.gz"):
        assert palate("label-export", votes, "--output", tmp_path / name).code == 0
        assert len(read_preferences(tmp_path / name).records) > 30
    mine = tmp_path / "mine.jsonl"
    mine.write_text("hours of work\n", encoding="utf-8")
    said = palate("label-export", votes, "--output", mine)
    assert said.code == 2
    assert "--overwrite" in said.error
    assert mine.read_text(encoding="utf-8") == "hours of work\n"
    assert palate("label-export", votes, "--output", mine, "--overwrite").code == 0
    assert len(read_preferences(mine).records) > 30
    said = palate("label-export", votes, "--output", tmp_path / "voted.xlsx")
    assert said.code == 2
    assert "the name must end in .jsonl" in said.error


def test_rows_go_to_standard_output_and_words_do_not(palate: Palate, votes: Path) -> None:
    said = palate("label-export", votes, "--rule", "adjudicated")
    assert (said.code, said.out) == (0, "")
    assert said.err == "0 pairs by adjudicated; left out: not_adjudicated 60\n"


def test_quality_in_words_and_as_json(palate: Palate, votes: Path) -> None:
    said = palate("label-quality", votes)
    assert said.code == 0
    assert said.out.startswith("180 votes count, 0 came late; 60 pairs are complete")
    assert "\nKrippendorff's alpha: +0." in said.out
    assert "\nperson 0: " in said.out
    report = palate("label-quality", votes, "--json").json
    assert report["alpha"]["n"] == 60
    assert {one["annotator"] for one in report["annotators"]} == {f"person {i}" for i in range(3)}


def test_an_annotator_is_excluded_and_back(palate: Palate, votes: Path) -> None:
    said = palate("label-exclude", votes, "person 1", "--reason", "asleep")
    assert (said.code, said.err) == (0, "the votes of person 1 do not count\n")
    report = palate("label-quality", votes, "--json").json
    assert (report["num_votes"], report["excluded"]) == (120, {"person 1": "asleep"})
    assert palate("label-exclude", votes, "person 1", "--undo").code == 0
    assert palate("label-quality", votes, "--json").json["num_votes"] == 180


def test_wrong_commands_get_one_line(palate: Palate, votes: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for command in (("label-export",), ("label-quality",), ("label-exclude", "ann")):
        said = palate(command[0], missing, *command[1:])
        assert said.code == 2
        assert "there is no such database" in said.error
    assert not missing.exists()
    said = palate("label-exclude", votes, "nobody")
    assert said.code == 2
    assert "there is person 0, person 1, person 2" in said.error
    text = write_rows(tmp_path / "a.jsonl", some_pairs(9))
    assert "no database" in palate("label-quality", text).error
    assert "cannot be written" in palate("label-export", votes, "--output", tmp_path).error
    with open_store(votes):
        assert palate("label-quality", votes).code == 0  # looking on while people vote
        assert "another program collects votes" in palate("label-exclude", votes, "person 0").error
