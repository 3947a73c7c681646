"""`palate judge` as a user runs it: pairs for `palate dpo`, files beside them, one-line errors."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Palate, some_pairs, write_rows
from tests.experiments.judging import minds
from tests.models.fault_server import Answer, failed, serving
from tests.models.fault_server import said as said_by

CANARY = "sk-canary-4711"


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def said_score(score: str) -> Answer:
    return said_by(f'{{"reason": "", "score": {score}}}')


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "def shorter(prompts, responses):\n    return [-float(len(r)) for r in responses]\n",
        encoding="utf-8",
    )
    rows = [
        {"prompt": row["prompt"], "responses": [f"{row['chosen']} w3 w4", row["rejected"]]}
        for row in some_pairs(12)
    ]
    return write_rows(tmp_path / "samples.jsonl", rows)


def test_pairs_go_straight_into_dpo(
    palate: Palate, samples: Path, model: Path, recipe: Path
) -> None:
    said = palate("judge", "--samples", samples, "--by", "mine.py:shorter", "--output", "p.jsonl")
    assert said.code == 0, said.err
    assert "12 pairs, 0 ties, 0 not judged" in said.out
    assert "the longer reply wins" in said.out
    assert "0.0 % " in said.out
    pairs = rows_of(Path("p.jsonl"))
    assert all(len(row["chosen"]) < len(row["rejected"]) for row in pairs)
    assert rows_of(Path("p.ties.jsonl")) == rows_of(Path("p.unjudged.jsonl")) == []
    assert json.loads(Path("p.audit.json").read_text())["audit"]["num_pairs"] == 12
    assert palate("check", "p.jsonl").code == 0
    said = palate("dpo", "--config", recipe, "--model", model, "--data", "p.jsonl",
                  "--output-dir", "run", "--json")  # fmt: skip
    assert said.code == 0, said.err
    assert said.json["metrics"]["loss"] == pytest.approx(0.693, abs=0.1)


def test_a_language_model_judges_with_card_rubric_and_key(
    palate: Palate, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    Path("guidelines.md").write_text("Facts first.", encoding="utf-8")
    Path("rubric.txt").write_text("Prefer what is long.", encoding="utf-8")
    with serving(minds.answering(minds.longer)) as script:
        Path("card.yaml").write_text(
            f"model: tiny\nbase_url: {script.url}\napi_key_env: MY_KEY\n"
            "guidelines: guidelines.md\nprompt_price: 1\n", encoding="utf-8",
        )  # fmt: skip
        command = ["judge", "--samples", samples, "--by", "judge:card.yaml", "--output", "p.jsonl",
                   "--rubric", "rubric.txt", "--num-probes", 12]  # fmt: skip
        said = palate(*command, "--json")
        assert said.code == 0, said.err
        system = script.asked[0]["messages"][0]["content"]
        assert "Prefer what is long." in system
        assert "Facts first." in system
        assert script.headers[0]["Authorization"] == f"Bearer {CANARY}"
        first_calls = script.num_calls
        again = palate(*command, "--overwrite")
        assert again.code == 0, again.err
        assert script.num_calls == first_calls  # all of it came from the cache
    summary = said.json
    assert (summary["pairs"], summary["judge"], summary["compares"]) == (12, "judge:tiny", True)
    # Twelve pairs, injected too: a longer reply wins here, injected or not.
    assert summary["cost"]["calls"] == first_calls == 2 * 12 + 2 * 12
    assert summary["injection"]["is_injectable"] is True
    assert "INJECTABLE" in again.out
    assert "more wins with injections than without" in again.out
    assert "0 calls (48 answers from the cache)" in again.out
    # The key is in no file and no word.
    for path in Path.cwd().rglob("*"):
        assert path.is_dir() or CANARY not in path.read_text(encoding="utf-8")
    assert CANARY not in said.out + said.err + again.out + again.err


def test_a_reward_model_and_an_implied_reward_judge(
    palate: Palate, samples: Path, model: Path, pairs: Path, recipe: Path
) -> None:
    common = ["--config", recipe, "--model", model, "--data", pairs, "--output-dir"]
    assert palate("reward", *common, "reward", "--max-new-tokens", 4).code == 0
    assert palate("dpo", *common, "dpo", "--beta", 0.3).code == 0
    for folder in ("reward", "dpo"):
        out = Path(f"{folder}.jsonl")
        said = palate("judge", "--samples", samples, "--by", folder, "--output", out)
        assert said.code == 0, said.err
        judged = rows_of(out)
        assert len(judged) == 12
        # palate score of the pairs gives the rewards that they were judged by.
        said = palate("score", "--model", folder, "--data", out, "--output", "scores.jsonl")
        assert said.code == 0, said.err
        for row, scored in zip(judged, rows_of(Path("scores.jsonl")), strict=True):
            scores = [row["score_chosen"], row["score_rejected"]]
            assert scores == pytest.approx([scored["chosen"], scored["rejected"]], abs=1e-4)
            assert scored["margin"] > 0


def test_scores_of_the_rows_judge(palate: Palate, samples: Path) -> None:
    scored = [
        {"prompt": "w3", "responses": [{"text": "w5", "score": 1}, {"text": "w6", "score": 2.5}]},
        {"prompt": "w4", "responses": [{"text": "w5", "score": 1}, {"text": "w6", "score": 1}]},
    ]
    path = write_rows(Path("scored.jsonl"), scored)
    said = palate("judge", "--samples", path, "--by", "scores", "--output", "p.jsonl")
    assert said.code == 0, said.err
    (pair,) = rows_of(Path("p.jsonl"))
    assert (pair["chosen"], pair["rejected"]) == ("w6", "w5")
    assert (pair["score_chosen"], pair["score_rejected"]) == (2.5, 1.0)
    assert len(rows_of(Path("p.ties.jsonl"))) == 1


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("mine.py:gone", "gone is not there"),
        ("nothing", "there is no such folder"),
        ("judge:card.yaml", "card.yaml cannot be read"),
        ("judge:tiny", "write judge:FILE.yaml, or judge:MODEL@URL"),
        ("judge:tiny@http://example.org/v1", "plain http would show key and texts"),
        ("judge:tiny@https://u:p@example.org/v1", "ends up in logs"),
        ("scores", "not every response has a score"),
        ("2*mine.py:shorter", "a weight changes no verdict"),
    ],
)
def test_what_cannot_judge_says_why_in_one_line(
    palate: Palate, samples: Path, by: str, words: str
) -> None:
    said = palate("judge", "--samples", samples, "--by", by, "--output", "p.jsonl")
    assert said.code == 2
    assert words in said.error
    assert not Path("p.jsonl").exists()


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("model: tiny\n", "base_url missing"),
        ("model: tiny\nbase_ulr: x\n", "did you mean 'base_url'"),
        ("model: tiny\nbase_url: http://127.0.0.1:1/v1\ntimeout: soon\n", "timeout is 'soon'"),
        ("model: tiny\nbase_url: http://127.0.0.1:1/v1\nmax_tokens: 0\n", "max_tokens is 0"),
        ("[1, 2]\n", "not a mapping"),
        ("model: [\n", "not YAML"),
        ("model: tiny\nbase_url: http://127.0.0.1:1/v1\nguidelines: gone.md\n", "gone.md cannot"),
        ("model: tiny\nbase_url: http://127.0.0.1:1/v1\napi_key_env: NOT_SET_X\n", "is not set"),
        ("model: tiny\nbase_url: http://127.0.0.1:1/v1\nmax_retries: 0\n", "cannot be reached"),
    ],
)
def test_a_card_that_cannot_be_used_says_why(
    palate: Palate, samples: Path, card: str, words: str
) -> None:
    Path("card.yaml").write_text(card, encoding="utf-8")
    said = palate("judge", "--samples", samples, "--by", "judge:card.yaml", "--output", "p.jsonl")
    assert said.code == 2
    assert words in said.error


def test_a_server_that_refuses_the_key_ends_it(palate: Palate, samples: Path) -> None:
    with serving([failed(401, "no")]) as script:
        said = palate("judge", "--samples", samples, "--by", f"judge:tiny@{script.url}",
                      "--output", "p.jsonl")  # fmt: skip
    assert said.code == 2
    assert "HTTP 401" in said.error
    assert not Path("p.jsonl").exists()


def test_an_output_is_not_replaced_unasked(palate: Palate, samples: Path) -> None:
    Path("p.jsonl").write_text("mine\n", encoding="utf-8")
    said = palate("judge", "--samples", samples, "--by", "mine.py:shorter", "--output", "p.jsonl")
    assert said.code == 2
    assert "--overwrite" in said.error
    assert Path("p.jsonl").read_text(encoding="utf-8") == "mine\n"
    said = palate("judge", "--samples", samples, "--by", "mine.py:shorter", "--output", "p.jsonl",
                  "--mode", "score")  # fmt: skip
    assert said.code == 2


def test_ppo_learns_from_a_judges_scores_and_resumes_without_paying_twice(
    palate: Palate, samples: Path, model: Path, recipe: Path
) -> None:
    def scorer(seen: dict[str, str]) -> str:
        return json.dumps({"reason": "", "score": 1 + len(seen["REPLY"]) % 10})

    with serving(minds.answering(scorer)) as script:
        run = ["ppo", "--config", recipe, "--model", model, "--data", samples,
               "--max-new-tokens", 4, "--reward", f"0.1*judge:tiny@{script.url}"]  # fmt: skip
        said = palate(*run, "--output-dir", "run", "--json")
        assert said.code == 0, said.err
        assert 0.1 <= said.json["metrics"]["objective/scores"] + 1 <= 2.0
        calls = script.num_calls
        assert len(rows_of(Path("run/judge-cache.jsonl"))) == calls
        said = palate(*run, "--output-dir", "run", "--overwrite", "--json")
        assert said.code == 0, said.err
        assert script.num_calls == calls


def test_what_a_run_paid_for_stays_though_the_run_comes_to_nothing(
    palate: Palate, samples: Path, model: Path, recipe: Path
) -> None:
    """The server refuses the key after three scores, before the first step."""
    score = said_score("5")
    run = ["ppo", "--config", recipe, "--model", model, "--data", samples, "--output-dir", "run",
           "--max-new-tokens", 4]  # fmt: skip
    with serving([score, score, score, failed(401)]) as script:
        Path("card.yaml").write_text(
            f"model: tiny\nbase_url: {script.url}\nconcurrency: 1\n", encoding="utf-8"
        )
        stopped = palate(*run, "--reward", "judge:card.yaml")
    assert stopped.code == 2
    assert "HTTP 401" in stopped.err
    kept = rows_of(Path("run/judge-cache.jsonl"))
    assert len(kept) == 3
    with serving([score]) as script:
        Path("card.yaml").write_text(f"model: tiny\nbase_url: {script.url}\n", encoding="utf-8")
        done = palate(*run, "--reward", "judge:card.yaml", "--json")
        assert done.code == 0, done.err
        assert len(rows_of(Path("run/judge-cache.jsonl"))) == 3 + script.num_calls


def test_a_judge_that_says_nothing_usable_is_an_error_and_what_it_said_is_told(
    palate: Palate, samples: Path
) -> None:
    with serving([said_by("I like both.")]) as script:
        said = palate("judge", "--samples", samples, "--by", f"judge:tiny@{script.url}",
                      "--output", "p.jsonl")  # fmt: skip
    assert said.code == 2
    assert "no pair was judged, of 12" in said.err
    assert len(rows_of(Path("p.unjudged.jsonl"))) == 12
