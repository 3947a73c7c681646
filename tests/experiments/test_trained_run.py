"""What a base model's card says, where there is one."""

from pathlib import Path

import pytest

from palate.experiments.trained_run import base_licence


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
