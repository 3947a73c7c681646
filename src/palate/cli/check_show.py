"""What `palate check` found: on the console, as JSON, as a page."""

from pathlib import Path

from palate.cli.output import print_json, say
from palate.experiments.check_run import Checked


def show_check(found: Checked, *, write_clean: str | None, html: str | None, as_json: bool) -> None:
    """Say what was found and written; the page is written here."""
    if found.clean:
        say(f"{write_clean}: {found.clean.num_kept} rows; "
            f"{found.clean.num_dropped} in {found.clean.rejects}")  # fmt: skip
    if html is not None:
        from palate.experiments.check_page import write_check_page

        write_check_page(found, Path(html))
    if as_json:
        print_json(found.to_json())
    else:
        from palate.experiments.check_words import console_lines

        print("\n".join(console_lines(found)))
