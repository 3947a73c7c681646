"""What loads when: a torch import costs seconds, so names load on first use alone."""

import importlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

import palate

HEAVY = ("torch", "transformers", "peft", "datasets", "scipy", "matplotlib")
LIGHT = [
    "palate",
    "palate.errors",
    "palate.data",
    "palate.data.records",
    "palate.data.rows",
    "palate.data.sources",
    "palate.data.splits",
    "palate.data.check",
    "palate.collection",
    "palate.collection.store",
    "palate.collection.reading",
    "palate.collection.export",
    "palate.objectives",
    "palate.measures",
    "palate.models",
    "palate.training",
    "palate.training.settings",
    "palate.training.online_settings",
    "palate.experiments",
    "palate.experiments.diagnose",
    "palate.measures.findings.rules",
    "palate.trainers",
    "palate.trainers.configs",
    "palate.web",
    "palate.web.start",
]
ROOMS = [
    "",
    ".collection",
    ".data",
    ".objectives",
    ".measures",
    ".models",
    ".training",
    ".experiments",
    ".trainers",
    ".web",
]


def loaded_by(statement: str) -> list[str]:
    probe = f"import sys\n{statement}\nprint([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(eval(done.stdout))


def test_light_modules_load_nothing_heavy() -> None:
    names = [*LIGHT, *(["palate.cli.app"] if find_spec("palate.cli.app") else [])]
    statement = "\n".join(
        f"import {name}\nassert not {{'torch', 'transformers'}} & set(sys.modules), {name!r}"
        for name in names
    )
    assert loaded_by(statement) == []


def test_configs_and_errors_from_the_front_door_load_nothing_heavy() -> None:
    assert loaded_by("from palate import DPOConfig, RecipeError\nDPOConfig(beta=0.2)") == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there(room: str) -> None:
    module = importlib.import_module(f"palate{room}")
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = module.nonsense


def test_objectives_can_be_reached_from_the_front_door() -> None:
    assert callable(palate.objectives.bradley_terry_loss)
    assert palate.RecipeError is importlib.import_module("palate.errors").RecipeError
