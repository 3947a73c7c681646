"""What a format is: how its rows are known, what they give, how they are read and written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from palate.data.formats.cells import Row
from palate.data.layout import Layout
from palate.data.records import Demonstration, Preference, Prompt, Text

Record = Preference | Demonstration | Prompt
Gives = Literal["pairs", "labelled", "demonstrations", "prompts"]
"""Pairs; single responses with a label; responses to imitate; prompts alone."""


@dataclass(frozen=True)
class Format:
    """One way to write preference data.

    Attributes:
        name: of `--format`.
        gives: what its rows are.
        about: the docs' sentence: whose it is, and what is special.
        columns: what it understands; other columns are kept beside the record.
        matches: whether a row is of this format, by the names and kinds of its columns alone.
        called: the name of the row's format and shape, for messages; rows of a file share it.
            It may refuse the row.
        read: a row, how to read it, and its place → records. It refuses (`Refusal`) a row that
            cannot be used, with a warning's code where it only has no pair to give.
        ask: the row's prompt alone, for formats whose rows may give no record but have a prompt.
        write: a record → a row; None for what only others write.
        heeds: which of the layout's `rule` and `margins` change what is made of a row.
    """

    name: str
    gives: Gives
    about: str
    columns: frozenset[str]
    matches: Callable[[Row], bool]
    called: Callable[[Row], str]
    read: Callable[[Row, Layout, str], Sequence[Record]]
    ask: Callable[[Row], Text] | None = None
    write: Callable[[Record], Mapping[str, object]] | None = None
    heeds: Callable[[Row], frozenset[str]] = lambda _: frozenset()
