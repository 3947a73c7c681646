"""The run folder: one run at a time, its recipe and circumstances written down first."""

import fcntl
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from palate.errors import UsageError

OWN = (
    "recipe.yaml", "manifest.json", "metrics.jsonl", "findings.jsonl", "samples.jsonl", "cost.json",
    "checkpoints", "model", "trackers", "rounds", "progress.json",
)  # fmt: skip


class RunFolder:
    """Paths of a run; `open` makes it and holds it against a second run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.metrics = self.path / "metrics.jsonl"
        self.findings = self.path / "findings.jsonl"
        self.samples = self.path / "samples.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model"
        self.trackers = self.path / "trackers"
        self.rounds = self.path / "rounds"
        self.progress = self.path / "progress.json"
        self.stop = self.path / "stop"

    @contextmanager
    def open(self, *, resume: bool = False, overwrite: bool = False) -> Iterator[None]:
        """Make the folder and lock it.

        Args:
            resume: continue the run that is there.
            overwrite: remove the run that is there.

        Raises:
            UsageError: it cannot be written, holds another run, or is in use.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"{self.path}: cannot be written ({error.strerror}); choose another --output-dir"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    f"{self.path}: another run is writing here; wait for it or choose another "
                    "--output-dir"
                ) from None
            if not resume:
                self._clear(overwrite=overwrite)
            yield

    def _clear(self, *, overwrite: bool) -> None:
        found = [self.path / name for name in OWN if (self.path / name).exists()]
        if found and not overwrite:
            raise UsageError(
                f"{self.path}: holds a run already ({found[0].name}); continue it with --resume, "
                "replace it with --overwrite, or choose another --output-dir"
            )
        for path in found:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def describe(self, *, recipe: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Write recipe.yaml and manifest.json."""
        text = yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True)
        (self.path / "recipe.yaml").write_text(text, encoding="utf-8")
        manifest = {**identity, **environment()}
        (self.path / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def environment() -> dict[str, Any]:
    """What a number depends on besides the recipe: versions, machine, threads, commit."""
    import torch

    names = ("palate", "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")
    return {
        "versions": {name: version(name) for name in names},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "git": _commit(),
    }


def _commit() -> str | None:
    """The commit of the folder that the run is started in, where it is one."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
