"""Where a demo may write; the demo itself takes minutes and has its own targets."""

from pathlib import Path

import pytest

from palate.errors import UsageError
from palate.experiments import demo


class Begun(Exception):
    """The demo went on to its first stage."""


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_stage(*given: object, **named: object) -> None:
        raise Begun

    monkeypatch.setattr(demo, "train_world_sft", first_stage)


def killed(folder: Path) -> Path:
    """A demo that came as far as its first run."""
    with pytest.raises(Begun):
        demo.run_demo(output_dir=str(folder))
    (folder / "sft").mkdir()
    (folder / "sft" / "recipe.yaml").write_text("stage: sft\n", encoding="utf-8")
    return folder


def test_a_killed_demo_does_not_block_the_next(tmp_path: Path) -> None:
    folder = killed(tmp_path / "demo")
    (folder / "mine").mkdir()
    with pytest.raises(Begun):
        demo.run_demo(output_dir=str(folder))
    assert {path.name for path in folder.iterdir()} == {"demo.json", "mine"}


def test_a_finished_demo_is_replaced_only_when_asked(tmp_path: Path) -> None:
    folder = killed(tmp_path / "demo")
    (folder / "results.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="--overwrite"):
        demo.run_demo(output_dir=str(folder))
    assert (folder / "sft").exists()
    with pytest.raises(Begun):
        demo.run_demo(output_dir=str(folder), overwrite=True)
    assert not (folder / "sft").exists()


def test_a_run_of_somebody_else_is_not_taken_for_a_demos(tmp_path: Path) -> None:
    (tmp_path / "sft").mkdir()
    with pytest.raises(UsageError, match="--overwrite"):
        demo.run_demo(output_dir=str(tmp_path))
