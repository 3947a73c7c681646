"""What `--columns` does: a file's columns get the names that are known here; a slip is told."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from palate.data.faults import quote
from palate.data.layout import Layout
from palate.data.lines import Line
from palate.errors import RecipeError

_MAX_LISTED = 8


def renamed(lines: Iterator[Line], layout: Layout, source: str) -> Iterator[Line]:
    """Give columns the names that the layout says they mean.

    Args:
        lines: the rows.
        layout: with the names.
        source: the rows' file, for messages.

    Raises:
        RecipeError: at the end, where no row has a column that the layout names.
    """
    return _renamed(lines, layout.columns, source) if layout.columns else lines


def _renamed(lines: Iterator[Line], columns: Mapping[str, str], source: str) -> Iterator[Line]:
    theirs = {source: ours for ours, source in columns.items()}
    missing, there = set(theirs), dict[str, None]()
    for line in lines:
        if line.row is None:
            yield line
            continue
        missing -= line.row.keys()
        if len(there) < _MAX_LISTED:
            there |= dict.fromkeys(map(str, line.row))
        # A column that already has the name gives way: somebody said what is meant by it.
        taken = {ours for name, ours in theirs.items() if name in line.row}
        row = {k: v for k, v in line.row.items() if k not in taken or k in theirs}
        yield Line(line.origin, {theirs.get(k, k): v for k, v in row.items()})
    if missing and there:
        name = min(missing)
        near = get_close_matches(name, there, n=1)
        hint = f"did you mean {near[0]}?" if near else f"they have {_listed(there)}"
        raise RecipeError(
            f"columns says {theirs[name]}={name}, but no row of {source} has {quote(name)}; {hint}"
        )


def _listed(names: Mapping[str, None]) -> str:
    return ", ".join(quote(name) for name in [*names][:_MAX_LISTED])
