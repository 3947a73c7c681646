"""A check as one HTML file that needs no network and no script; foreign text is escaped."""

import os
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from palate.errors import UsageError
from palate.experiments import check_words as words
from palate.experiments import table
from palate.experiments.check_run import Checked


def write_check_page(checked: Checked, path: Path) -> None:
    """Write the page, replacing an older one in one step.

    Raises:
        UsageError: the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_text(render_check_page(checked), encoding="utf-8")
        os.replace(draft, path)  # noqa: PTH105 - the atomic call, by its name
    except OSError as error:
        raise UsageError(
            f"--html {path}: cannot be written ({error.strerror}); choose another file"
        ) from None


def render_check_page(checked: Checked) -> str:
    """The report as one self-contained HTML page."""
    report, fit = checked.report, checked.fit
    return _template().render(
        report=report,
        summary=words.summary(report),
        outcome=words.outcome(report),
        facts=list(words.facts(report)),
        fit=fit,
        fit_facts=list(words.fit_facts(fit)) if fit else [],
        counted=words.counted,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["plain"] = table.plain
    source = files("palate.experiments") / "check.html.jinja"
    return environment.from_string(source.read_text(encoding="utf-8"))
