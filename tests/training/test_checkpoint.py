"""Whatever happens to a checkpoint's files, it is whole or it is not there."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.runs import Stop

from palate.errors import CheckpointError
from palate.training.checkpoint import (
    MANIFEST,
    STATE,
    TENSORS,
    Checkpoint,
    latest_checkpoint,
    load_checkpoint,
    prune,
    save_checkpoint,
    settings_difference,
)


def _checkpoint(step: int) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    tensors = {
        "policy/a": torch.randn(5, 3, generator=generator),
        "rng/torch": torch.arange(7, dtype=torch.uint8),
        "half": torch.ones(2, dtype=torch.bfloat16) * step,
    }
    return Checkpoint(step, tensors, {"standing": {"step": step}, "x": 0.1})


def _assert_is(found: Checkpoint, step: int) -> None:
    wanted = _checkpoint(step)
    assert found.step == step
    assert found.state == wanted.state
    assert found.tensors.keys() == wanted.tensors.keys()
    assert all(torch.equal(found.tensors[k], v) for k, v in wanted.tensors.items())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the checkpoints of steps 1 and 2."""
    for step in (1, 2):
        save_checkpoint(tmp_path, _checkpoint(step))
    return tmp_path


def test_what_was_saved_comes_back(folder: Path) -> None:
    _assert_is(load_checkpoint(folder / "step-000002"), 2)
    found, skipped = latest_checkpoint(folder)
    _assert_is(found, 2)
    assert skipped == []


def test_there_is_no_pickle(folder: Path) -> None:
    names = {path.name for path in (folder / "step-000001").iterdir()}
    assert names == {"tensors.safetensors", "state.json", "manifest.json"}
    for name in (STATE, MANIFEST):
        json.loads((folder / "step-000001" / name).read_text())


def _truncate(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def _flip(share: float, bit: int) -> Callable[[bytes], bytes]:
    def flipped(content: bytes) -> bytes:
        place = min(int(len(content) * share), len(content) - 1)
        return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]

    return flipped


@pytest.mark.parametrize("name", [TENSORS, STATE, MANIFEST])
@pytest.mark.parametrize("kind", ["truncated", "flipped", "longer", "empty", "zeros"])
def test_a_damaged_file_is_found_and_the_one_before_serves(
    folder: Path, name: str, kind: str
) -> None:
    """Every byte's lowest bit for flips; every tenth for truncations."""
    path = folder / "step-000002" / name
    content = path.read_bytes()
    damages: list[Callable[[bytes], bytes]] = {
        "truncated": [_truncate(k / 10) for k in range(10)],
        "flipped": [_flip(k / len(content), k % 8) for k in range(len(content))],
        "longer": [lambda c: c + b"\0"],
        "empty": [lambda _: b""],
        "zeros": [lambda c: bytes(len(c))],
    }[kind]
    for damage in damages:
        path.write_bytes(damage(content))
        try:
            found, skipped = latest_checkpoint(folder)
        except CheckpointError as error:  # pragma: no cover
            pytest.fail(str(error))
        if found.step == 2:
            # Only a flip that means the same JSON may pass (white space that stays white space).
            assert name == MANIFEST
            assert json.loads(path.read_bytes()) == json.loads(content)
            _assert_is(found, 2)
        else:
            _assert_is(found, 1)
            assert len(skipped) == 1
            assert "step-000002" in skipped[0]


@pytest.mark.parametrize("name", [TENSORS, STATE, MANIFEST])
def test_a_missing_file_is_found(folder: Path, name: str) -> None:
    (folder / "step-000002" / name).unlink()
    found, skipped = latest_checkpoint(folder)
    _assert_is(found, 1)
    assert "incomplete" in skipped[0]


@pytest.mark.parametrize("name", [TENSORS, STATE, MANIFEST])
def test_files_swapped_between_checkpoints_are_found(folder: Path, name: str) -> None:
    a, b = folder / "step-000001" / name, folder / "step-000002" / name
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    with pytest.raises(CheckpointError, match="step-000002.*step-000001"):
        latest_checkpoint(folder)


def test_a_whole_folder_under_another_name_is_found(folder: Path) -> None:
    (folder / "step-000002").rename(folder / "step-000003")
    with pytest.raises(CheckpointError, match="its manifest is of step 2"):
        load_checkpoint(folder / "step-000003")


@pytest.mark.parametrize(
    "manifest", ["[]", "null", "{}", '{"schema": 9, "step": 2, "files": {}}', '{"schema": 1}']
)
def test_a_wrong_manifest_is_found(folder: Path, manifest: str) -> None:
    (folder / "step-000002" / MANIFEST).write_text(manifest)
    _assert_is(latest_checkpoint(folder)[0], 1)


def test_an_empty_or_missing_folder_says_how_to_go_on(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CheckpointError, match="holds none.*start without --resume"):
            latest_checkpoint(path)


def _border(monkeypatch: pytest.MonkeyPatch, stop_at: int) -> list[str]:
    """Raise at the stop_at-th call that changes the disk; returns the calls so far."""
    calls: list[str] = []

    def guard(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if len(calls) == stop_at:
                raise Stop(name)
            calls.append(name)
            return function(*args, **kwargs)

        return guarded

    for home, name in (
        (os, "fsync"), (os, "open"), (Path, "open"), (Path, "mkdir"), (Path, "rename"),
        (shutil, "rmtree"),
    ):  # fmt: skip
        monkeypatch.setattr(home, name, guard(name, getattr(home, name)))
    return calls


@pytest.mark.parametrize("again", [False, True], ids=["new", "replaced"])
def test_a_kill_at_any_border_of_a_save_leaves_the_old_or_the_new_one(
    folder: Path, again: bool
) -> None:
    """`again`: the step's folder is there already, as after a fall-back to an older one."""
    step, borders = 2 if again else 3, 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            _border(patch, borders)
            try:
                save_checkpoint(folder, _checkpoint(step))
                finished = True
            except Stop:
                finished = False
        found, skipped = latest_checkpoint(folder)
        assert skipped == []
        assert found.step in ((1, 2) if again else (2, 3))
        _assert_is(found, found.step)
        if finished:
            assert found.step == step
            break
        borders += 1
        if found.step == step and not again:
            shutil.rmtree(folder / "step-000003")
    assert borders > 8
    assert not [p for p in folder.iterdir() if ".tmp-" in p.name or ".trash-" in p.name]


def test_a_kill_at_any_border_of_pruning_leaves_the_newest(folder: Path) -> None:
    for step in (3, 4):
        save_checkpoint(folder, _checkpoint(step))
    borders = 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            _border(patch, borders)
            try:
                prune(folder, keep=2)
                finished = True
            except Stop:
                finished = False
        _assert_is(latest_checkpoint(folder)[0], 4)
        if finished:
            break
        borders += 1
    assert sorted(p.name for p in folder.iterdir()) == ["step-000003", "step-000004"]


def test_pruning_keeps_the_newest_and_the_protected(folder: Path) -> None:
    for step in (3, 4, 5):
        save_checkpoint(folder, _checkpoint(step))
    prune(folder, keep=2, protect=folder / "step-000001")
    assert sorted(p.name for p in folder.iterdir()) == ["step-000001", "step-000004", "step-000005"]
    prune(folder, keep=9)
    assert len(list(folder.iterdir())) == 3


def test_differences_of_settings_are_named() -> None:
    saved, mine = {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": 4}
    assert settings_difference(saved, mine, free=frozenset({"d"})) == ["b", "c"]
