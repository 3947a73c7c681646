import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.corpus.clean import text_pairs

from palate.data.check import check_data
from palate.data.checks.profile import NUM_SAMPLED_PAIRS, Profile
from palate.data.records import Preference


def _battles(count: int, *, num_first: int) -> list[dict[str, Any]]:
    rows = []
    for number, pair in enumerate(text_pairs(count)):
        answers = [pair["chosen"], pair["rejected"]]
        is_first = number < num_first
        shown = answers if is_first else answers[::-1]
        sides = {
            f"conversation_{side}": [
                {"role": "user", "content": pair["prompt"]},
                {"role": "assistant", "content": text},
            ]
            for side, text in zip("ab", shown, strict=True)
        }
        rows.append(sides | {"winner": "model_a" if is_first else "model_b"})
    return rows


@pytest.mark.parametrize(("num_first", "codes"), [(30, []), (60, ["W419"])])
def test_first_wins_is_told_of_battles(tmp_path: Path, num_first: int, codes: list[str]) -> None:
    path = tmp_path / "battles.jsonl"
    rows = _battles(60, num_first=num_first)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    report = check_data(path)
    assert report.shortcuts["first wins"].value == num_first / 60
    assert [group.code for group in report.faults] == codes


def test_first_wins_is_not_told_where_nothing_says_who_was_first(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in text_pairs(30)), encoding="utf-8")
    assert set(check_data(path).shortcuts) == {
        "longer wins", "more punctuation wins", "bag of words",
    }  # fmt: skip


def test_the_sample_is_the_same_in_any_order_and_keeps_prompts_whole() -> None:
    count = NUM_SAMPLED_PAIRS + 300
    numbers = list(range(count))
    samples = []
    for order in (numbers, numbers[::-1]):
        profile = Profile()
        for number in order:
            pair = Preference("q", f"good {number}", f"bad {number}")
            profile.add(number, pair, rank=hash((number // 2, "salt")))
        samples.append({pair.number for pair in profile.sample()})
    assert samples[0] == samples[1]
    assert len(samples[0]) == NUM_SAMPLED_PAIRS
    assert sum(number ^ 1 not in samples[0] for number in samples[0]) <= 1
