"""Reward sources as people write them."""

from pathlib import Path

import pytest

from palate.errors import UsageError
from palate.experiments.reward_source import absolute_reward, reward_source, reward_sources

FILE = """
LIMIT = 3
def brevity(prompts, responses, **columns):
    return [-float(len(r)) for r in responses]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")
    (tmp_path / "palate_test_rewards.py").write_text(FILE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import nonsense_that_is_not_there", encoding="utf-8")
    (tmp_path / "raising.py").write_text("1 / 0", encoding="utf-8")
    (tmp_path / "run" / "model").mkdir(parents=True)
    return tmp_path


def test_a_function_is_found_in_a_file_or_in_a_module_beside_the_user(here: Path) -> None:
    for given in ("mine.py:brevity", str(here / "mine.py") + ":brevity",
                  "palate_test_rewards:brevity"):  # fmt: skip
        source = reward_source(given)
        assert source.weight == 1.0
        assert source.function is not None
        assert list(source.function(["p"], ["abc"])) == [-3.0]


def test_a_folder_is_a_run_or_its_model(here: Path) -> None:
    assert reward_source("run").folder == Path("run/model")
    (here / "run" / "config.json").write_text("{}", encoding="utf-8")
    assert reward_source("run").folder == Path("run")


@pytest.mark.parametrize(
    ("given", "weight"),
    [("0.7*run", 0.7), ("-1 * run", -1.0), ("2e-1*run", 0.2), ("+3*run", 3.0), ("run", 1.0)],
)
def test_weights(here: Path, given: str, weight: float) -> None:
    source = reward_source(given)
    assert source.weight == weight
    assert source.folder == Path("run/model")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("runs/none", r"--reward runs/none: there is no such folder.*MODULE:FUNCTION"),
        ("none.py:f", "there is no file none.py"),
        ("mine.py:longer", "longer is not there; .*mine.py has brevity"),
        ("mine.py:LIMIT", "LIMIT is a int; .*mine.py has brevity"),
        ("mine.py:", "a name is not there"),
        ("no_such_module_here:f", "there is no module no_such_module_here"),
        ("broken.py:f", "there is no module nonsense_that_is_not_there"),
        ("raising.py:f", "importing raising.py raised ZeroDivisionError"),
        ("a/b:c", "'a/b' is no module"),
        ("0*run", "the weight is 0"),
        ("1.2.3*run", "'1.2.3' is no number"),
        ("1e999*run", "the weight is inf"),
    ],
)
def test_what_cannot_be_a_reward_says_why(here: Path, given: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        reward_sources([given])


def test_sources_become_absolute_and_names_stay(here: Path) -> None:
    assert absolute_reward("0.5*run") == f"0.5*{here / 'run'}"
    assert absolute_reward("mine.py:brevity") == f"{here / 'mine.py'}:brevity"
    assert absolute_reward("palate_test_rewards:brevity") == "palate_test_rewards:brevity"
