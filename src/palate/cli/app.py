"""The `palate` program: commands, and the one place where errors become a line and an exit code."""

import difflib
import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any

import typer
from typer.main import get_command

from palate.cli import (
    check,
    check_reward,
    compare,
    convert,
    demo,
    diagnose,
    dpo,
    env,
    export,
    judge,
    label,
    label_exclude,
    label_export,
    label_quality,
    online,
    ppo,
    reward,
    sample,
    score,
    sft,
    watch,
)
from palate.errors import Interrupted, PalateError
from palate.models.allocator import keep_freed_memory
from palate.training.trl_names import ELSEWHERE, elsewhere

DEBUG = "--debug"
EPILOG = """Exit codes: 0 done; 1 a defect of Palate; 2 bad usage, recipe, data or model; 3 a number
is not finite; 4 a check refused to go on, or a finding was made; 130 or 143 interrupted."""

app = typer.Typer(
    rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, epilog=EPILOG
)


@app.callback()
def palate(
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show tracebacks; may stand after the command too.")
    ] = False,
) -> None:
    """Turn preferences into a model, by DPO or by RLHF, and measure which road pays."""


app.command("demo", help=demo.HELP)(demo.demo)
app.command("convert", help=convert.HELP)(convert.convert)
app.command("check", help=check.HELP)(check.check)
app.command("sft", help=sft.HELP)(sft.sft)
app.command("reward", help=reward.HELP)(reward.reward)
app.command("check-reward", help=check_reward.HELP)(check_reward.check_reward)
app.command("dpo", help=dpo.HELP)(dpo.dpo)
app.command("ppo", help=ppo.HELP)(ppo.ppo)
app.command("online", help=online.HELP)(online.online)
app.command("compare", help=compare.HELP)(compare.compare)
app.command("diagnose", help=diagnose.HELP)(diagnose.diagnose)
app.command("sample", help=sample.HELP)(sample.sample)
app.command("judge", help=judge.HELP)(judge.judge)
app.command("score", help=score.HELP)(score.score)
app.command("label", help=label.HELP)(label.label)
app.command("export", help=export.HELP)(export.export)
app.command("label-export", help=label_export.HELP)(label_export.label_export)
app.command("label-quality", help=label_quality.HELP)(label_quality.label_quality)
app.command("label-exclude", help=label_exclude.HELP)(label_exclude.label_exclude)
app.command("watch", help=watch.HELP)(watch.watch)
app.command("env", help=env.HELP)(env.env)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns its exit code and never raises."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in given
    keep_freed_memory()
    with _log_on_stderr(), _termination_cleans_up(), warnings.catch_warnings():
        if not debug:  # other people's warnings help nobody who reads one line
            warnings.simplefilter("ignore")
        return _run([word for word in given if word != DEBUG], debug)


@contextmanager
def _log_on_stderr() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    log = logging.getLogger("palate")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


@contextmanager
def _termination_cleans_up() -> Iterator[None]:
    """SIGTERM outside a training loop (which saves first) is an error like any other."""

    def stop(number: int, frame: FrameType | None) -> None:
        terminated = Interrupted("terminated")
        terminated.exit_code = 128 + number
        raise terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(given: list[str], debug: bool) -> int:
    try:
        code = get_command(app).main(args=given, prog_name="palate", standalone_mode=False)
    except BaseException as error:  # the program's outermost edge
        code, message = explain(error)
        if debug:
            traceback.print_exc()
        if message:
            print(message, file=sys.stderr)
    else:
        if code == 130:  # typer's answer to Ctrl-C
            print("interrupted", file=sys.stderr)
    return int(code or 0)


def explain(error: BaseException) -> tuple[int, str]:
    """Exit code and message of an error.

    One fault is told in one line; a list of faulty rows keeps a line for each.
    """
    from palate.experiments.table import plain

    if isinstance(error, PalateError):
        lines = [plain(line) for line in str(error).splitlines()]
        if len(lines) <= 5:
            lines = [_in_one_line([line.strip() for line in lines])]
        return error.exit_code, "error: " + "\n".join(lines)
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        return int(error.exit_code), _usage(error)
    if isinstance(error, SystemExit):
        return int(error.code or 0), ""
    reason = plain(str(error)).strip()[:300]
    return 1, f"error: {type(error).__name__}: {reason}; run again with {DEBUG} for the traceback"


def _in_one_line(lines: list[str]) -> str:
    *first, last = lines
    return " ".join([*(line if line.endswith((":", ".")) else f"{line}." for line in first), last])


def _usage(error: Any) -> str:
    """A wrong flag or command in one line (the whole help where there was no command at all)."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.format_message())
    path = error.ctx.command_path if error.ctx else "palate"
    message = str(error.format_message()).replace("Value error, ", "").rstrip(".")
    key = str(getattr(error, "option_name", "")).lstrip("-").replace("-", "_")
    there = getattr(error, "possibilities", None) or ()
    slip = difflib.get_close_matches(f"--{key.replace('_', '-')}", there, n=1, cutoff=0.85)
    told = ELSEWHERE.get(key, "") if slip else elsewhere(key)
    if told and message.startswith("No such option"):
        message = f"No such option: --{key.replace('_', '-')} (here it is {told})"
    return f"error: {message}; see {path} --help"
