"""Measured arms on disk: a comparison that was stopped never samples a finished arm again.

A file an arm and seed, named by a hash of all that decides what is in it: the folders of the model,
the start and the reward model, the prompts and the decoding. Gold rewards are not in it: they are a
function of the texts and found anew.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from palate.data.records import Prompt
from palate.experiments.arms import Decoding, Measured, as_text
from palate.experiments.hashes import folder_hash

# Raised where sampling or scoring changes what a model's numbers are.
VERSION = 1
GRIDS = ("proxy", "kl", "kl_k1", "kl_k3", "length", "stopped")


class KeptMeasures:
    """The measured arms below one folder.

    Args:
        folder: made when something is kept.
        base: the common start's folder.
        prompts: asked of every arm.
        decoding: of every arm.
    """

    def __init__(
        self, folder: Path, *, base: Path, prompts: Sequence[Prompt], decoding: Decoding
    ) -> None:
        self._folder, self._prompts = folder, prompts
        asked = [as_text(prompt) for prompt in prompts]
        self._common = [VERSION, folder_hash(base), asked, asdict(decoding)]

    def find(self, model: Path | None, reward: Path | None) -> Measured | None:
        """What was kept of a model as it is now.

        Args:
            model: its folder; None for the common start.
            reward: the reward model that scored it.
        """
        return _read(self._path(model, reward))

    def keep(self, model: Path | None, reward: Path | None, measured: Measured) -> None:
        """Write down what was measured, all at once or not at all."""
        _write(self._path(model, reward), measured)

    def _path(self, model: Path | None, reward: Path | None) -> Path:
        each = [folder_hash(path) if path else None for path in (model, reward)]
        key = sha256(json.dumps([*self._common, *each]).encode()).hexdigest()
        return self._folder / f"{key[:24]}.json"


def _write(path: Path, measured: Measured) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    body: dict[str, Any] = {"texts": measured.texts}
    for name in GRIDS:
        grid = getattr(measured, name)
        body[name] = None if grid is None else grid.tolist()
    text = json.dumps(body, ensure_ascii=False)
    draft = path.with_suffix(f".tmp-{os.getpid()}")
    draft.write_text(f"{sha256(text.encode()).hexdigest()}\n{text}", encoding="utf-8")
    draft.replace(path)


def _read(path: Path) -> Measured | None:
    """What a file holds; None where there is none, or one that is damaged."""
    try:
        seal, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if sha256(text.encode()).hexdigest() != seal:
        return None
    body = json.loads(text)
    grids: dict[str, Any] = {
        name: None if body[name] is None else np.array(body[name], dtype=np.float64)
        for name in GRIDS
    }
    return Measured(texts=body["texts"], gold=None, **grids)
