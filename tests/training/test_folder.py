"""One run a folder, described before it starts; what cannot be written says so."""

import json
from pathlib import Path

import pytest
import yaml

from palate.errors import UsageError
from palate.training.folder import RunFolder, environment


@pytest.mark.parametrize("name", ["run", "a/b/c", "with space", "überlauf", "line\nbreak"])
def test_a_folder_is_made_whatever_its_name(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path / name)
    with folder.open():
        folder.describe(recipe={"beta": 0.1, "who": "é"}, identity={"data": "abc"})
    assert yaml.safe_load((folder.path / "recipe.yaml").read_text(encoding="utf-8")) == {
        "beta": 0.1,
        "who": "é",
    }
    manifest = json.loads((folder.path / "manifest.json").read_text())
    assert manifest["data"] == "abc"
    assert manifest["versions"]["torch"]


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    with first.open():
        for resume in (False, True):
            with (
                pytest.raises(UsageError, match="another run is writing here"),
                second.open(resume=resume),
            ):
                pytest.fail("the second run got in")
    with second.open():
        pass


def test_a_run_that_is_there_is_continued_or_replaced_on_request_only(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.open():
        folder.metrics.write_text("{}\n")
        (folder.checkpoints / "step-000001").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(UsageError, match="--resume.*--overwrite.*--output-dir"), folder.open():
        pass
    with folder.open(resume=True):
        assert folder.metrics.exists()
    with folder.open(overwrite=True):
        assert not folder.metrics.exists()
        assert not folder.checkpoints.exists()
        assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with (
            pytest.raises(UsageError, match="cannot be written .*choose another") as caught,
            RunFolder(path).open(),
        ):
            pass
        assert str(path) in str(caught.value)
        assert caught.value.exit_code == 2


def test_the_environment_is_plain_json() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["threads"] >= 1
