"""A tiny model on disk, rows in its words, and the program as a function."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import tiny


@dataclass(frozen=True)
class Said:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        assert self.out.count("\n") == 1
        return found

    @property
    def error(self) -> str:
        """The one line of an error."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in self.err
        return lines[0]


Palate = Callable[..., Said]


@pytest.fixture
def palate(capsys: pytest.CaptureFixture[str]) -> Palate:
    """Run a command line in this process."""
    from palate.cli.app import main

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with its tokenizer, in the folder "base"."""
    folder = tmp_path_factory.mktemp("models") / "base"
    tiny.llama().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def some_pairs(count: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Pairs of distinct prompts in the tiny tokenizer's words, w3 to w47."""
    generator = np.random.default_rng(seed)

    def words(number: int) -> str:
        return " ".join(f"w{i}" for i in generator.integers(3, tiny.VOCAB, size=number))

    return [
        {
            "prompt": f"w{3 + i % 40} {words(3)}",
            "chosen": f"w5 {words(4)}",
            "rejected": f"w9 {words(3)}",
        }
        for i in range(count)
    ]


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve good pairs."""
    return write_rows(tmp_path_factory.mktemp("rows") / "pairs.jsonl", some_pairs(12))


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve demonstrations."""
    rows = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in some_pairs(12)]
    return write_rows(tmp_path_factory.mktemp("rows") / "shown.jsonl", rows)


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small steps."""
    path = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    path.write_text(
        "max_steps: 2\nper_device_train_batch_size: 4\nlogging_steps: 1\nlora_r: 4\n"
        "learning_rate: 1e-3\nmax_length: 32\n",
        encoding="utf-8",
    )
    return path
