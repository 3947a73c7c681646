"""Flags that say how rows are to be read, for commands that are no stage (those have settings)."""

from typing import Annotated

import typer

from palate.data.formats import named_format
from palate.data.layout import Layout, Rule, layout_of

FormatFlag = Annotated[
    str | None, typer.Option("--format", help="of the rows, instead of what they look like")
]
ColumnsFlag = Annotated[
    str | None, typer.Option(help="names of columns, ours=theirs: prompt=question,chosen=a")
]
RuleFlag = Annotated[
    Rule, typer.Option(help="which pairs several ranked responses give (docs/data.md)")
]


def read_layout(format_name: str | None, columns: str | None, rule: Rule) -> Layout:
    """The layout that the flags say.

    Raises:
        RecipeError: a value cannot be used.
    """
    if format_name is not None:
        named_format(format_name)
    return layout_of({"format": format_name, "columns": columns, "rule": rule})
