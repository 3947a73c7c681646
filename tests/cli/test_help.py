"""Help names everything, costs no torch, and the reference pages say the same."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from tests.cli.conftest import Palate

from palate.cli.docs import PAGES, STAGES, stale
from palate.training.journal import METRICS

COMMANDS = (
    "demo", "check", "convert", "sft", "reward", "check-reward", "dpo", "ppo", "online", "compare",
    "sample", "judge", "score", "label", "label-export", "label-quality", "label-exclude", "export",
    "env",
)  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_help_lists_every_setting_with_its_default(palate: Palate, name: str) -> None:
    said = palate(name, "--help")
    assert said.code == 0
    words = " ".join(said.out.split())
    for of in fields(STAGES[name]):
        assert f"--{of.name.replace('_', '-')} " in words
        if not isinstance(of.default, bool | tuple):
            assert f"[default: {of.default}]" in words
    for flag in ("--config", "--model", "--data", "--resume", "--overwrite", "--json"):
        assert f"{flag} " in words


def test_help_lists_every_command(palate: Palate) -> None:
    said = palate("--help")
    assert said.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in said.out
    bare = palate()
    assert bare.code == 2
    assert "Commands:" in bare.err
    assert bare.out == ""


def test_pages_name_every_command_setting_and_metric() -> None:
    pages = {name: write() for name, write in PAGES.items()}
    for name in COMMANDS:
        assert f"## palate {name}\n" in pages["commands.md"]
    assert "| `--json` |" in pages["commands.md"]
    assert "| `--skip-bad / --no-skip-bad` |" in pages["commands.md"]
    for kind in STAGES.values():
        for of in fields(kind):
            assert f"| `{of.name}` |" in pages["settings.md"]
    for name in METRICS:
        assert f"| `{name}` |" in pages["metrics.md"]


def test_the_pages_in_docs_are_fresh() -> None:
    assert stale(Path(__file__).parents[2] / "docs") == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["dpo", "--help"], ["env", "--help"], ["dpo", "--bta", "1"], ["check", "PAIRS"]],
    ids=" ".join,
)
def test_no_torch_for_help_and_check(arguments: list[str], pairs: Path) -> None:
    given = [str(pairs) if word == "PAIRS" else word for word in arguments]
    program = (
        "import sys; from palate.cli.app import main; main(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'peft', 'datasets', 'scipy'} & set(sys.modules);"
        "sys.exit(f'{heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
