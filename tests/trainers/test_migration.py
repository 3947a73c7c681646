"""Every setting of TRL's configs has a namesake here, another name, or a reason why not."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from transformers import TrainingArguments

import palate
from palate.errors import RecipeError
from palate.trainers.configs import ONLINE_NAMES
from palate.training.online_settings import USES
from palate.training.settings import SFTSettings
from palate.training.trl_names import elsewhere

ROOT = Path(__file__).resolve().parents[2]
FIELDS: dict[str, list[str]] = json.loads(
    (ROOT / "benchmarks/data/trl_fields_1.16.0.json").read_text(encoding="utf-8")
)["fields"]


@pytest.mark.parametrize("config", sorted(FIELDS))
def test_every_field_of_trls_config_is_answered(config: str) -> None:
    ours = getattr(palate, config)
    known = {field.name for field in fields(ours)}
    known |= set(ONLINE_NAMES) if "method" in known else set()
    silent = [name for name in FIELDS[config] if name not in known and not elsewhere(name)]
    assert silent == []
    for name in FIELDS[config]:
        if name not in known:
            with pytest.raises(RecipeError, match=f"no setting '{name}'; here it is "):
                ours(**{name: None})


def test_every_training_argument_of_transformers_is_answered() -> None:
    known = {field.name for field in fields(SFTSettings)}
    arguments = [field.name for field in fields(TrainingArguments)]
    assert [n for n in arguments if n not in known and not elsewhere(n)] == []


def test_every_online_method_has_a_page_with_notes() -> None:
    overview = (ROOT / "docs/online.md").read_text(encoding="utf-8")
    for method in USES:
        (page,) = re.findall(rf"\[`{re.escape(method)}`\]\(([\w-]+\.md)\)", overview)
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert f"--method {method} " in text
        assert "## Coming from TRL 1.16" in text
        for link in re.findall(r"\]\(([^)#]+)(?:#[\w-]*)?\)", text):
            assert (ROOT / "docs" / link).exists(), f"{page}: {link}"
