"""Reference pages from the code: `python -m palate.cli.docs` writes docs/, `--check` compares.

Commands from the parser, settings from the dataclasses, metrics from the journal's table.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.models import ArgumentInfo

from palate.cli.app import app
from palate.cli.options import kebab, shown_default
from palate.data.fault_kinds import KINDS
from palate.data.faults import FAULTS
from palate.measures.findings.rules import RULES
from palate.training.journal import METRICS
from palate.training.online_settings import OnlineSettings
from palate.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardSettings,
    SFTSettings,
    StageSettings,
)

STAGES: dict[str, type[StageSettings]] = {
    "sft": SFTSettings,
    "reward": RewardSettings,
    "dpo": DPOSettings,
    "ppo": PPOSettings,
    "online": OnlineSettings,
}
SOURCE = "*Written by `python -m palate.cli.docs` from the code; change it there.*"
EXIT_CODES = {
    "0": "done",
    "1": "a defect of Palate: one line; `--debug` shows the traceback",
    "2": "bad usage, recipe, data or model",
    "3": "a loss, gradient or reward is not finite; stopped before the update",
    "4": (
        "a check refused to go on (step-0 identity broken, no gradient, reward model not fit, "
        "export not as trained), or findings were made: `palate diagnose` found a warning, "
        "`--stop-on` ended a run"
    ),
    "130, 143": "interrupted; a checkpoint was saved where training had begun",
}


def commands_page() -> str:
    """docs/commands.md: a table of options a command."""
    about = (
        "`--debug`, before or after any command, shows the traceback of an error. Settings of the "
        "training commands: [settings.md](settings.md)."
    )
    lines = ["# Commands", "", SOURCE, "", about]
    lines += ["", "## Exit codes", "", *_table(("code", "means"), EXIT_CODES.items())]
    for command in app.registered_commands:
        name, callback = str(command.name), command.callback
        assert callback is not None
        known = {f.name for f in fields(STAGES[name])} if name in STAGES else set()
        options = signature(callback).parameters.values()
        lines += ["", f"## palate {name}", "", command.help or "", ""]
        rows = [_option(one) for one in options if one.name not in known]
        lines += _table(("option", "takes", "default", "meaning"), rows)
        if known:
            lines += ["", f"And every setting of [all stages](settings.md#all-stages) and of "
                      f"[{name}](settings.md#{name})."]  # fmt: skip
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """docs/settings.md: what all stages share, and what each has of its own."""
    about = (
        "A setting's name is its key in `recipe.yaml` and its Python argument; the flag is the "
        "name with hyphens (`--lora-r`)."
    )
    lines = [
        "# Settings",
        "",
        SOURCE,
        "",
        about,
        "",
        "## All stages",
        "",
        *_settings(StageSettings, {}),
    ]
    shared = {f.name: f for f in fields(StageSettings)}
    for name, kind in STAGES.items():
        lines += ["", f"## {name}", "", (kind.__doc__ or "").splitlines()[0], ""]
        lines += _settings(kind, shared)
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """docs/metrics.md: every name that a log can hold."""
    rows = [(f"`{n}`", m.unit, m.direction, m.definition) for n, m in METRICS.items()]
    about = (
        "Rows of `metrics.jsonl`. An evaluation's carry the prefix `eval_`. Direction: up and down "
        "say which way is better, watch neither."
    )
    lines = [
        "# Metrics",
        "",
        SOURCE,
        "",
        about,
        "",
        *_table(("metric", "unit", "direction", "definition"), rows),
    ]
    return "\n".join(lines) + "\n"


def faults_page() -> str:
    """docs/faults.md: every code, and the code of every kind of bad row."""
    rows = [(f"`{code}`", k.severity, k.title, k.fix) for code, k in FAULTS.items()]
    kinds = [(kind, f"`{code}`" if code else "accepted") for kind, code in KINDS.items()]
    lines = [
        "# Faults of data",
        "",
        SOURCE,
        "",
        "What `palate check` and the readers of all commands call by a code. An error makes a row "
        "unusable: training refuses the file, or leaves the row out with `--skip-bad`. (E404 is of "
        "two files: training says it and goes on.) A warning leaves the row in use and asks for a "
        "look. How to read the report: [check.md](check.md).",
        "",
        *_table(("code", "severity", "what", "what to do"), rows),
        "",
        "## Kinds of bad rows",
        "",
        "The fault corpus of the tests (`tests/data/corpus.py`) plants each at the first, a middle "
        "and the last row. E405, E406 and W409 to W411 need a tokenizer: `--model`.",
        "",
        *_table(("kind", "code"), kinds),
    ]
    return "\n".join(lines) + "\n"


def findings_page() -> str:
    """docs/findings.md: every rule with its threshold, and a section a finding."""
    rows = [(f"[{name}](#{name})", r.title, r.threshold, r.source) for name, r in RULES.items()]
    lines = [
        "# Findings",
        "",
        SOURCE,
        "",
        "What training and `palate diagnose` call by name. A note is worth knowing, a warning asks "
        "for a look before the run is trusted, sick says that the run does not do what it is for. "
        "How to read them, and how often they are right: [diagnose.md](diagnose.md). Metrics: "
        "[metrics.md](metrics.md); `the last 3 rows` are rows of the log.",
        "",
        *_table(("finding", "what", "threshold", "source of the threshold"), rows),
    ]
    for name, rule in RULES.items():
        lines += ["", f"## {name}", "", f"{rule.title[0].upper()}{rule.title[1:]}. {rule.means}"]
        lines += ["", f"Threshold: {rule.threshold} ({rule.source})."]
        lines += ["", f"What to do: {rule.remedy}."]
    return "\n".join(lines) + "\n"


PAGES = {
    "findings.md": findings_page,
    "faults.md": faults_page,
    "commands.md": commands_page,
    "settings.md": settings_page,
    "metrics.md": metrics_page,
}


def stale(folder: Path) -> list[str]:
    """Names of pages that are not what the code says."""
    pages = ((name, folder / name, write()) for name, write in PAGES.items())
    return [n for n, path, text in pages if not path.exists() or path.read_text("utf-8") != text]


def main(arguments: Sequence[str]) -> int:
    """Write the pages into docs/, or with `--check` say which are stale."""
    folder = Path("docs")
    if "--check" in arguments:
        found = stale(folder)
        for name in found:
            print(f"{folder / name} is stale; run python -m palate.cli.docs", file=sys.stderr)
        return 1 if found else 0
    folder.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (folder / name).write_text(write(), encoding="utf-8")
    return 0


def _settings(kind: type[StageSettings], shared: dict[str, Any]) -> list[str]:
    rows = []
    for of in fields(kind):
        same = shared.get(of.name)
        if same and (same.default, same.metadata) == (of.default, of.metadata):
            continue
        takes = _kind(of.type) or "on or off"
        rows.append((f"`{of.name}`", takes, shown_default(of), of.metadata["help"]))
    return _table(("setting", "takes", "default", "meaning"), rows)


def _option(parameter: Parameter) -> tuple[str, str, str, str]:
    """Name, type, default and meaning, from what typer reads of a command's signature."""
    kind, info = get_args(parameter.annotation)[:2]
    # Inside Annotated, the first name that an option was given stands where a default would.
    named = info.default if isinstance(info.default, str) else f"--{kebab(parameter.name)}"
    flags = named.replace("/", " / ")
    if isinstance(info, ArgumentInfo):
        flags = str(info.metavar)
    # Help of settings and sources carries the default already.
    meaning, _, default = str(info.help).partition(" [default: ")
    if parameter.default is Parameter.empty:
        default = "required"
    elif parameter.default is not None and kind is not bool:
        default = str(parameter.default)
    return f"`{flags}`", _kind(kind), default.rstrip("]"), meaning


def _kind(kind: Any) -> str:
    parts = [part for part in get_args(kind) if part is not type(None)]
    if get_origin(kind) in (list, tuple):
        return f"{_kind(parts[0])}, repeatable"
    if get_origin(kind) is Literal:
        return " or ".join(parts)
    if parts:
        return _kind(parts[0])
    return {bool: "", str: "text", int: "whole number", float: "number"}[kind]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [_row(head), _row(["---"] * len(head)), *map(_row, body)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
