"""A check from end to end: the rows, what a model makes of them, and the clean file."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palate.data.check import CheckReport, CleanReport, Limit, check_data, clean_data
from palate.data.checks.clean import check_targets
from palate.data.faults import Fault
from palate.data.layout import Layout
from palate.data.rejects import rejects_file
from palate.errors import UsageError

if TYPE_CHECKING:
    from palate.measures.on_policy import Fit
    from palate.models.load import Loaded

DEFAULT_MAX_LENGTH = 1024


@dataclass(frozen=True)
class Checked:
    """What a check came to; `fit` needs a model and twenty prompts, `clean` a file to write."""

    report: CheckReport
    fit: "Fit | None" = None
    has_model: bool = False
    clean: CleanReport | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return self.report.to_json() | {"fit": self.fit and self.fit.to_json()}


def refuse_contradictions(
    data: str,
    *,
    eval_data: str | None,
    html: str | None,
    places: str | None,
    has_model: bool,
    max_length: int | None,
    write_clean: str | None,
    drop: Collection[str],
    overwrite: bool,
) -> None:
    """Refuse, before the work, options that need another one, and files that would be lost.

    Raises:
        UsageError: as said.
    """
    if max_length is not None and not has_model:
        raise UsageError("--max-length counts a tokenizer's tokens; name it with --model")
    if data == "-" and (has_model or write_clean):
        flag = "--model" if has_model else "--write-clean"
        raise UsageError(f"{flag} reads the rows twice, and standard input comes once; give a file")
    if overwrite and html is None and write_clean is None and places is None:
        raise UsageError(
            "--overwrite replaces the files of --write-clean, --html and --places; give one"
        )
    for flag, target in (("--html", html), ("--places", places)):
        if target is None or not Path(target).exists():
            continue
        if any(other and Path(other).exists() and Path(target).samefile(other)
               for other in (data, eval_data, write_clean)):  # fmt: skip
            raise UsageError(f"{flag} {target}: this file is being read; choose another name")
        if not overwrite:
            raise UsageError(
                f"{flag} {target}: is there already; choose another name, or replace it with "
                "--overwrite"
            )
    check_targets(data, write_clean, drop=drop, overwrite=overwrite)


def run_check(
    data: str | Path,
    *,
    eval_data: str | Path | None,
    layout: Layout,
    loaded: "Loaded | None",
    max_length: int | None,
    write_clean: str | Path | None,
    drop: Collection[str],
    places: str | None = None,
) -> Checked:
    """Check a source, and do with it what else was asked for.

    Args:
        data: what to check.
        eval_data: rows that must share no prompt with it.
        layout: what a person says of the rows of both.
        loaded: the model that training will start from.
        max_length: in its tokens; None: 1024, as in training.
        write_clean: where to write the usable rows.
        drop: codes of warnings whose rows are to be left out there too.
        places: where to write every fault with its place, a line each.

    Raises:
        DataError: the source cannot be read at all.
        UsageError: a file cannot be written.
    """
    limit = None
    if loaded is not None:
        from palate.data.render import Renderer

        limit = Limit(Renderer(loaded.tokenizer), max_length or DEFAULT_MAX_LENGTH)
    clean = None
    how: dict[str, Any] = {"eval_path": eval_data, "layout": layout, "limit": limit}
    with _places_file(places) as told:
        if write_clean is None:
            report = check_data(data, **how, told=told)
        else:
            clean = clean_data(data, write_clean, **how, drop=drop, told=told)
            report = clean.report
    if loaded is None or limit is None:
        return Checked(report, clean=clean)
    from palate.experiments.fit import measure_fit

    fit = measure_fit(loaded, data, layout=layout, max_length=limit.max_length)
    return Checked(report, fit, has_model=True, clean=clean)


@contextmanager
def _places_file(path: str | None) -> Iterator[Callable[[Fault], None]]:
    """A file that is told every fault, a line of JSON each; whole or absent."""
    with rejects_file(path) as write:
        yield lambda found: write(
            {"origin": found.origin, "code": found.code, "severity": found.severity,
             "message": found.message}
        )  # fmt: skip
