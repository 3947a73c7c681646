"""Every shipped recipe is read by the settings that it is for."""

from pathlib import Path

import pytest
import yaml

from palate.training.online_settings import OnlineSettings
from palate.training.settings import DPOSettings, PPOSettings, StageSettings

RECIPES = Path(__file__).parent.parent / "recipes"
STAGES: dict[str, type[StageSettings]] = {
    "dpo-lora.yaml": DPOSettings,
    "grpo.yaml": OnlineSettings,
    "over-optimization.yaml": PPOSettings,
}


def test_every_recipe_has_a_stage() -> None:
    assert {path.name for path in RECIPES.glob("*.yaml")} == STAGES.keys()


@pytest.mark.parametrize("name", STAGES)
def test_recipe_is_read_whole(name: str) -> None:
    values = yaml.safe_load((RECIPES / name).read_text(encoding="utf-8"))
    settings = STAGES[name].from_mapping(values)
    assert {key: settings.to_mapping()[key] for key in values} == values
