"""A name that a person gives — file, folder, hub name, "-" — → rows with their places.

    JSON lines, a JSON array, CSV, TSV; each plain, gzip or zstd
    Parquet; a folder that `datasets` saved; OWNER/NAME[:SPLIT] of the hub
    -   standard input: any of the first line

What a file is its first bytes tell; only CSV and TSV are known by their names (on standard input
by not being JSON).
"""

from collections.abc import Iterator
from pathlib import Path, PurePath

from palate.data.delimited import split_delimited
from palate.data.formats.open_assistant import trees_of
from palate.data.json_array import is_array, split_array
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.lines import BOM, Line, split_lines
from palate.data.renaming import renamed
from palate.data.tables import hub_rows, is_hub_name, parquet_rows, saved_rows
from palate.data.unpack import STANDARD_INPUT, open_packed, unpacked

_SNIFFED = 4096


def lines_of(name: str | Path, layout: Layout = AS_THEY_SAY) -> Iterator[Line]:
    """Read all rows of a source, with the columns named as the layout says.

    Raises:
        DataError: there is no such source, or it is damaged or no file to read.
        RecipeError: the layout names a column that no row has.
    """
    return trees_of(renamed(_lines(str(name), layout), layout, str(name)))


def _lines(name: str, layout: Layout) -> Iterator[Line]:
    path = Path(name)
    if name != STANDARD_INPUT:
        if (saved := saved_rows(path)) is not None:
            yield from saved
            return
        if not path.exists() and not path.is_symlink() and is_hub_name(name):
            yield from hub_rows(name)
            return
    with open_packed(name) as packed:
        if packed.peek(4)[:4] == b"PAR1":
            yield from parquet_rows(packed, name)
            return
        with unpacked(packed, name) as file:
            beginning = file.peek(_SNIFFED)[:_SNIFFED].removeprefix(BOM).lstrip()
            limit = layout.max_line_bytes
            if delimiter := _delimiter(name, beginning):
                ours = {source: our for our, source in layout.columns.items()}
                yield from split_delimited(
                    file.readline, name, delimiter=delimiter, max_bytes=limit, renamed=ours
                )
            elif is_array(beginning):
                yield from split_array(file, name, max_bytes=limit)
            else:
                yield from split_lines(file.readline, name, max_bytes=limit)


def _delimiter(name: str, beginning: bytes) -> str | None:
    """What stands between cells; None of what is JSON."""
    suffixes = PurePath(name).suffixes
    if suffixes[-1:] in ([".gz"], [".zst"]):
        suffixes.pop()
    if suffixes[-1:] == [".csv"]:
        return ","
    if suffixes[-1:] == [".tsv"]:
        return "\t"
    if name == STANDARD_INPUT and beginning and not beginning.startswith((b"{", b"[")):
        return "\t" if b"\t" in beginning.split(b"\n", 1)[0] else ","
    return None
