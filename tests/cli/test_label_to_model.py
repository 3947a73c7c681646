"""From votes to a model: sixty votes through the page, an export, training, a comparison."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Palate, some_pairs, write_rows
from tests.cli.test_label import labelling, signed_in


@pytest.mark.slow
def test_sixty_votes_become_a_trained_and_compared_model(
    tmp_path: Path, palate: Palate, model: Path, recipe: Path
) -> None:
    rows = some_pairs(60)
    pairs = write_rows(tmp_path / "pairs.jsonl", rows)
    with labelling(pairs, "--admin", "ann") as (_, opened):
        client = signed_in(opened["links"]["ann"])
        questions = client.post("/api/questions", {"have": []}).json["questions"]
        for number in range(len(rows)):
            question = questions.pop(0)
            # The good response begins with w5; the last ten are left undecided.
            side = "left" if question["left"].startswith("w5 ") else "right"
            content = {"question": question["id"], "choice": side if number < 50 else "tie"}
            held = [one["id"] for one in questions]
            sent = {**content, "latency_ms": 5000, "request": str(number), "have": held}
            questions += client.post("/api/decisions", sent).json["questions"]
        # Of sixty questions some were repeats, so a few pairs are still to be voted on.
        written = client.ask("GET", "/export/majority.jsonl").body
    voted = tmp_path / "voted.jsonl"
    voted.write_bytes(written)
    exported = [json.loads(line) for line in written.splitlines()]
    assert 40 <= len(exported) <= 50
    known = {(row["prompt"], row["chosen"], row["rejected"]) for row in rows}
    assert {(row["prompt"], row["chosen"], row["rejected"]) for row in exported} <= known
    by_command = palate("label-export", tmp_path / "pairs.votes.sqlite")
    assert [json.loads(line) for line in by_command.out.splitlines()] == exported

    run, judge, results = tmp_path / "dpo", tmp_path / "reward", tmp_path / "comparison"
    common = ["--config", recipe, "--model", model, "--data", voted, "--json", "--output-dir"]
    for stage, folder in (("dpo", run), ("reward", judge)):
        trained = palate(stage, *common, folder)
        assert trained.code == 0, trained.err
        assert trained.json["steps"] == 2
    said = palate(
        "compare", "--arm", f"dpo:voted={run}", "--base", model, "--prompts", pairs,
        "--reward", judge, "--num-samples", 1, "--max-new-tokens", 4,
        "--output-dir", results, "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert said.json["arms"]["voted"]["road"] == "dpo"
    assert set(said.json["arms"]) == {"sft", "voted"}
