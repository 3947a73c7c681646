"""What a base model's card says, where there is one."""

import json
from pathlib import Path

import pytest
from tests import tiny

from palate.data.render import Renderer
from palate.experiments.passport import Passport
from palate.experiments.trained_run import TrainedRun, base_licence, some_rows
from palate.training.folder import RunFolder


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\ntags: [x]\n---\n# A model\n", "mit"),
        ("---\ntags: [x]\n---\n# No licence\n", None),
        ("# No front matter\n", None),
        ("---\n[broken\n---\n", None),
        ("---\njust words\n---\n", None),
    ],
)
def test_a_licence_is_what_the_card_names(tmp_path: Path, card: str, licence: str | None) -> None:
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert base_licence(str(tmp_path)) == licence


@pytest.mark.parametrize("name", ["", "/nowhere/at/all", "owner/never-downloaded"])
def test_without_a_card_on_this_machine_it_is_not_known(name: str) -> None:
    assert base_licence(name) is None


@pytest.mark.parametrize(
    ("row", "lengths"),
    [
        ({"prompt": "w3", "completion": "w4 w5", "label": True}, [3]),
        ({"prompt": "w3", "chosen": "w4 w5", "rejected": "w6"}, [3, 2]),
    ],
    ids=["labelled responses", "pairs"],
)
def test_rows_that_dpo_was_trained_on_are_read_again(
    tmp_path: Path, row: dict[str, object], lengths: list[int]
) -> None:
    """Each word of a response is a token, and so is its end."""
    data = tmp_path / "rows.jsonl"
    data.write_text((json.dumps(row) + "\n") * 3, encoding="utf-8")
    recipe = {"data": str(data), "max_length": 64}
    passport = Passport("dpo", "policy", "base")
    run = TrainedRun(RunFolder(tmp_path), recipe, {}, passport, {})
    found = some_rows(run, Renderer(tiny.tokenizer()), count=2)
    assert [[len(r.tokens) for r in tree.responses] for tree in found] == [lengths] * 2
