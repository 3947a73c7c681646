"""A judge's card: files, short forms, and the one that the docs show."""

import re
from pathlib import Path

import pytest

from palate.errors import UsageError
from palate.experiments.judging.card import JudgeCard, read_card

DOCS = Path(__file__).parents[3] / "docs" / "judging.md"


def test_the_card_in_the_docs_is_a_card(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "card.yaml").write_text(shown, encoding="utf-8")
    (tmp_path / "guidelines.md").write_text("Facts first.\n", encoding="utf-8")
    card = read_card(str(tmp_path / "card.yaml"), place="--by")
    assert card.guidelines == "Facts first.\n"
    assert (card.model, card.api_key_env, card.prompt_price) == ("qwen3-8b", "MY_KEY", 0.15)


def test_a_model_and_its_address_are_a_card_of_defaults() -> None:
    card = read_card("org/name@http://127.0.0.1:8000/v1", place="--by")
    assert card == JudgeCard(model="org/name", base_url="http://127.0.0.1:8000/v1")


@pytest.mark.parametrize("name", ["", "tiny", "@http://127.0.0.1/v1", "tiny@"])
def test_what_is_neither_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="judge:MODEL@URL"):
        read_card(name, place="--by")
