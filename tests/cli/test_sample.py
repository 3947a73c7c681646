"""`palate sample`: mixes of temperatures, files that grow, stops and servers."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Palate, some_pairs, write_rows
from tests.models.fault_server import Answer, failed, said, serving

from palate.experiments import sample_rows


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Ten prompts, the last one the first again, each with a column of its own."""
    texts = [row["prompt"] for row in some_pairs(9)]
    rows = [{"prompt": text, "level": i} for i, text in enumerate([*texts, texts[0]])]
    return write_rows(tmp_path / "prompts.jsonl", rows)


@pytest.fixture
def command(model: Path, prompts: Path) -> list[object]:
    return ["sample", "--model", model, "--prompts", prompts, "--max-new-tokens", 4,
            "--num-samples", 4, "--seed", 1]  # fmt: skip


def test_a_mix_of_temperatures_draws_each_response_apart(
    palate: Palate, command: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "mixed.jsonl"
    mix = ["--temperature", 0.0, "--temperature", 1.0, "--temperature", 1.5]
    assert palate(*command, *mix, "--output", out).code == 0
    rows = rows_of(out)
    assert [one["temperature"] for one in rows[0]["responses"]] == [0.0, 1.0, 1.5, 0.0]
    for row in rows:  # the likeliest response is always the same
        assert row["responses"][0] == row["responses"][3]
    assert rows[0]["sampling"] == {
        "num_samples": 4, "max_new_tokens": 4, "temperatures": [0.0, 1.0, 1.5], "seed": 1,
    }  # fmt: skip
    assert [row["level"] for row in rows] == list(range(10))
    # The same prompt again has new samples where there is chance.
    first, last = rows[0], rows[9]
    assert first["prompt"] == last["prompt"]
    assert [one["text"] for one in first["responses"]] != [one["text"] for one in last["responses"]]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    palate: Palate, command: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_rows, "BATCH", 4)
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert palate(*command, "--output", whole).code == 0
    lines = whole.read_bytes().splitlines(keepends=True)
    cut.write_bytes(b"".join(lines[:5]) + lines[5][:30])
    said = palate(*command, "--output", cut, "--resume")
    assert said.code == 0, said.err
    assert "5 of 10 prompts are answered already" in said.err
    # Log-probabilities may differ in their last bits, since the batches are others.
    for one, two in zip(rows_of(whole), rows_of(cut), strict=True):
        assert [r["text"] for r in one["responses"]] == [r["text"] for r in two["responses"]]
        assert {k: v for k, v in one.items() if k != "responses"} == {
            k: v for k, v in two.items() if k != "responses"
        }
    before = cut.read_bytes()
    said = palate(*command, "--output", cut, "--resume")
    assert "10 of 10" in said.err
    assert cut.read_bytes() == before


def test_equal_responses_are_counted(palate: Palate, command: list[object], tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    assert palate(*command, "--temperature", 0, "--dedupe", "--output", out).code == 0
    for row in rows_of(out):
        (response,) = row["responses"]
        assert response["count"] == 4


def test_a_file_is_not_replaced_or_mixed_up(
    palate: Palate, command: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    assert palate(*command, "--output", out).code == 0
    before = out.read_bytes()
    for more, words in (
        ([], "--resume, replace it with --overwrite"),
        (["--resume", "--seed", 2], "the sampling is not this run's"),
        (["--resume", "--overwrite"], "excludes --overwrite"),
    ):
        refused = palate(*command, "--output", out, *more)
        assert refused.code == 2
        assert words in refused.error
        assert out.read_bytes() == before
    other = tmp_path / "other.jsonl"
    other.write_text('{"prompt": "mine"}\n', encoding="utf-8")
    refused = palate(*command, "--output", other, "--resume")
    assert refused.code == 2
    assert "other.jsonl:1: no row of palate sample" in refused.error
    assert palate(*command, "--output", out, "--overwrite").code == 0
    assert palate(*command, "--temperature", -1).code == 2


def test_a_server_continues_text_and_answers_conversations(palate: Palate, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": [{"role": "user", "content": "hello"}], "id": "a"},
        {"prompt": [{"role": "user", "content": "bye"}], "id": "b"},
    ]
    talks = write_rows(tmp_path / "talks.jsonl", rows)
    body = json.dumps({"choices": [{"text": "", "finish_reason": "length"}]})

    def answer(body_: dict[str, Any]) -> Answer:
        if "prompt" in body_:
            return Answer(body=body.encode())
        if body_["messages"][0]["content"] == "bye":
            return said(None, refusal="no")
        return said(f"hi {body_['seed'] % 2}")

    with serving(answer) as script:
        common = ["sample", "--model", "tiny", "--base-url", script.url, "--num-samples", 3]
        talked = palate(*common, "--prompts", talks, "--temperature", 0.5)
        assert talked.code == 0, talked.err
        first, second = [json.loads(line) for line in talked.out.splitlines()]
        assert {one["text"] for one in first["responses"]} <= {"hi 0", "hi 1"}
        assert first["responses"][0]["stopped"] is True
        assert (first["id"], first["model"]) == ("a", "tiny")
        assert second["responses"] == []
        assert "3 responses are missing, which the server did not give: refusal" in talked.err
        assert len({asked["seed"] for asked in script.asked}) == 6
        assert {asked["temperature"] for asked in script.asked} == {0.5}
        # An empty continuation is an answer; it was cut at no token.
        continued = palate(*common, "--prompt", "Once")
        (row,) = [json.loads(line) for line in continued.out.splitlines()]
        assert row["responses"][0] == {"text": "", "stopped": False, "temperature": 1.0}
        assert script.asked[-1]["path"] == "/v1/completions"
        palate(*common, "--prompt", "Once", "--api", "chat")
        assert script.asked[-1]["messages"] == [{"role": "user", "content": "Once"}]
        refused = palate(*common, "--prompts", talks, "--api", "completions")
        assert refused.code == 2
        assert "no text to continue" in refused.error


def test_a_server_that_goes_down_loses_no_row(
    palate: Palate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_rows, "BATCH", 4)
    prompts = write_rows(tmp_path / "p.jsonl", [{"prompt": f"p{i}"} for i in range(10)])
    text = Answer(body=json.dumps({"choices": [{"text": "x", "finish_reason": "stop"}]}).encode())
    out = tmp_path / "rows.jsonl"
    with serving([*[text] * 6, failed(401)]) as script:
        common = ["sample", "--prompts", prompts, "--output", out, "--concurrency", 1,
                  "--model", "tiny"]  # fmt: skip
        stopped = palate(*common, "--base-url", script.url)
    assert stopped.code == 2
    assert "HTTP 401" in stopped.error
    assert len(rows_of(out)) == 4
    with serving([text]) as script:
        assert palate(*common, "--base-url", script.url, "--resume").code == 0
        assert script.num_calls == 6
    assert [row["prompt"] for row in rows_of(out)] == [f"p{i}" for i in range(10)]
