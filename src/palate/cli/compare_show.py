"""What `palate compare` found: as a table, or as JSON."""

from pathlib import Path
from typing import Any

from palate.cli.output import print_json


def show_comparison(results: dict[str, Any], folder: Path, *, as_json: bool) -> None:
    """Print the results, and where they stand."""
    if as_json:
        print_json(results)
        return
    from rich.console import Console

    from palate.experiments.table import print_comparison

    print_comparison(results, console=Console())
    print(f"results: {folder / 'results.json'}")
