"""Samples of fixed prompts: one row a prompt and call, the draw always the same."""

import json
from pathlib import Path

from tests import tiny

from palate.data.trees import Tree
from palate.training.samples import FixedSamples


def test_rows_follow_the_policy_beside_a_fixed_reference(tmp_path: Path) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    prompts = [Tree((5, 6)), Tree((7,))]
    follow = FixedSamples(
        tmp_path / "samples.jsonl", roles, prompts,
        decode=lambda ids: " ".join(map(str, ids)), end_tokens=(2,), max_new_tokens=5,
    )  # fmt: skip
    follow(0)
    follow(1)
    tiny.nudge(roles, "policy", by=0.5)
    follow(2)

    rows = [json.loads(x) for x in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [(row["step"], row["prompt"]) for row in rows] == [
        (step, prompt) for step in (0, 1, 2) for prompt in ("5 6", "7")
    ]
    assert all(row["policy"] == row["reference"] for row in rows[:4])
    assert [r["policy"] for r in rows[:2]] == [r["policy"] for r in rows[2:4]]
    assert [r["reference"] for r in rows[4:]] == [r["reference"] for r in rows[:2]]
    assert any(row["policy"] != row["reference"] for row in rows[4:])


def test_a_run_without_a_reference_shows_the_policy_alone(tmp_path: Path) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    FixedSamples(
        tmp_path / "samples.jsonl", roles, [Tree((5,))],
        decode=str, end_tokens=(2,), max_new_tokens=3,
    )(4)  # fmt: skip
    (row,) = [json.loads(x) for x in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert row.keys() == {"step", "prompt", "policy"}
