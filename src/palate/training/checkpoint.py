"""Checkpoints that are whole or absent: atomic, hashed, without pickle.

A checkpoint is written beside its place, every file flushed to disk, its manifest (sizes and
sha256) last, and then renamed. A folder without a manifest that verifies does not exist.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from palate.errors import CheckpointError

log = logging.getLogger("palate")
SCHEMA = 2
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """What continues a run: tensors by name, and everything else as JSON."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-000123`; returns its path. An existing one of that step is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{checkpoint.step:06d}"
    draft = folder / f"{target.name}.tmp-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    contiguous = {k: v.detach().cpu().contiguous() for k, v in checkpoint.tensors.items()}
    files = {
        TENSORS: save_tensors(contiguous),
        # In its own order: the log of a resumed run has its columns where they were.
        STATE: json.dumps(checkpoint.state).encode(),
    }
    manifest = {
        "schema": SCHEMA,
        "step": checkpoint.step,
        "files": {
            name: {"size": len(content), "sha256": sha256(content).hexdigest()}
            for name, content in files.items()
        },
    }
    try:
        for name, content in files.items():
            _write(draft / name, content)
        _write(draft / MANIFEST, json.dumps(manifest, sort_keys=True).encode())
        _sync(draft)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    if target.exists():
        _discard(target)
    draft.rename(target)
    _sync(folder)
    return target


def keep_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> bool:
    """Save, then prune; a full disk costs this checkpoint, not the run or the older ones."""
    try:
        save_checkpoint(folder, checkpoint)
        prune(folder, keep=keep)
    except OSError as error:
        log.warning(
            "the checkpoint of step %d could not be written (%s); older ones are kept and "
            "training goes on",
            checkpoint.step,
            error.strerror or error,
        )
        return False
    return True


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify one checkpoint.

    Raises:
        CheckpointError: a file is missing, of another size, or not what was written.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        schema, step, listed = manifest["schema"], manifest["step"], manifest["files"]
        if schema != SCHEMA:
            raise CheckpointError(
                f"{path}: written in format {schema}, this version reads {SCHEMA}"
            )
        if path.name != f"step-{step:06d}":
            raise CheckpointError(f"{path}: its manifest is of step {step}")
        content = {}
        for name in (TENSORS, STATE):
            content[name] = (path / name).read_bytes()
            entry = listed[name]
            if len(content[name]) != entry["size"]:
                raise CheckpointError(
                    f"{path / name}: {len(content[name])} bytes, not {entry['size']}"
                )
            if sha256(content[name]).hexdigest() != entry["sha256"]:
                raise CheckpointError(f"{path / name}: damaged (its sha256 is not the manifest's)")
        state = json.loads(content[STATE])
        return Checkpoint(step, load_tensors(content[TENSORS]), state)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: incomplete ({type(error).__name__}: {error})") from error


def latest_checkpoint(folder: Path) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that verifies, and a sentence for each newer one that does not.

    Raises:
        CheckpointError: there is none.
    """
    clean(folder)
    skipped: list[str] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return load_checkpoint(path), skipped
        except CheckpointError as error:
            skipped.append(f"skipped {error}")
    found = "; ".join(skipped) or "the folder holds none"
    raise CheckpointError(
        f"{folder}: no checkpoint to resume from ({found}); start without --resume"
    )


def prune(folder: Path, *, keep: int, protect: Path | None = None) -> None:
    """Remove all but the newest `keep` checkpoints and the protected one."""
    paths = sorted(folder.glob("step-??????"))
    for path in paths[: max(0, len(paths) - keep)]:
        if path != protect:
            _discard(path)


def clean(folder: Path) -> None:
    """Remove what an interrupted save or removal left behind."""
    for pattern in ("step-*.tmp-*", ".trash-*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def settings_difference(
    saved: Mapping[str, Any], mine: Mapping[str, Any], *, free: frozenset[str]
) -> list[str]:
    """Names of settings that change the mathematics and differ from the checkpoint's."""
    names = sorted((saved.keys() | mine.keys()) - free)
    return [name for name in names if saved.get(name) != mine.get(name)]


def _discard(path: Path) -> None:
    """Remove a folder so that a kill in between leaves nothing that looks whole."""
    trash = path.with_name(f".trash-{path.name}-{os.getpid()}")
    path.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
