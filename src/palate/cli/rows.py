"""The options that say how a command's rows are to be read."""

from typing import Annotated

import typer

from palate.data.formats import known_layout
from palate.data.layout import MAX_LINE_BYTES, Layout, Rule, parse_columns

DEFAULT_RULE: Rule = "best-worst"

Form = Annotated[
    str | None, typer.Option("--format", help="of the rows, instead of what they look like")
]
Columns = Annotated[
    str | None, typer.Option(help="names of columns, ours=theirs: prompt=question,chosen=a")
]
RuleName = Annotated[
    Rule, typer.Option(help="which pairs several ranked responses give: one, all, or neighbours")
]
Margins = Annotated[
    bool, typer.Option("--margins", help="the difference of two scores is the pair's margin")
]
MaxLine = Annotated[int | None, typer.Option(help="a line that is longer is a fault", min=1)]


def layout(
    form: str | None,
    columns: str | None,
    rule: Rule = DEFAULT_RULE,
    margins: bool = False,
    max_line_bytes: int | None = None,
) -> Layout:
    """What the options say of the rows.

    Raises:
        RecipeError: a value cannot be used.
    """
    named = parse_columns(columns)
    return known_layout(Layout(form, named, rule, margins, max_line_bytes or MAX_LINE_BYTES))
