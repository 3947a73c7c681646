"""How rows are to be read where they do not say it themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

from palate.errors import RecipeError

Rule = Literal["best-worst", "all", "adjacent"]
RULES: tuple[Rule, ...] = get_args(Rule)

MAX_LINE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Layout:
    """What a person says of a file; the defaults leave all to the rows.

    Attributes:
        format: a name of `formats.FORMATS`; None: each file's first rows tell.
        columns: our column name → the file's, renamed before anything else is looked at.
        rule: which pairs a row of several ranked or scored responses gives: the best against the
            worst (one pair), every two of different rank, or each against the next lower one.
        margins: give pairs the difference of their scores as margin, which training then asks for.
        max_line_bytes: a line, or an element of a JSON array, that is longer is a fault.
    """

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    rule: Rule = "best-worst"
    margins: bool = False
    max_line_bytes: int = MAX_LINE_BYTES

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise RecipeError(f"rule is {self.rule!r}; {did_you_mean(self.rule, RULES)}")
        if self.max_line_bytes < 1:
            raise RecipeError(f"max_line_bytes is {self.max_line_bytes}; it must be at least 1")
        sources = list(self.columns.values())
        if twice := next((name for name in sources if sources.count(name) > 1), None):
            raise RecipeError(f"columns takes {twice!r} twice; a column can have one name only")


AS_THEY_SAY = Layout()


def layout_of(recipe: Mapping[str, Any]) -> Layout:
    """The layout that the keys of a recipe say.

    Raises:
        RecipeError: a value cannot be used; the message begins with its key.
    """
    given = {f.name: recipe[f.name] for f in fields(Layout) if recipe.get(f.name) is not None}
    return Layout(**given | {"columns": parse_columns(given.get("columns"))})


def parse_columns(text: str | None) -> dict[str, str]:
    """Read "prompt=question,chosen=good" (our name first).

    Raises:
        RecipeError: it is not of that form, or one of our names stands twice.
    """
    named: dict[str, str] = {}
    for part in (text or "").split(",") if text else []:
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not (ours and equals and theirs) or ours in named:
            raise RecipeError(
                f"columns is {text!r}; write our name, =, the file's name, and commas between: "
                "prompt=question,chosen=good"
            )
        named[ours] = theirs
    return named


def did_you_mean(given: str, known: tuple[str, ...]) -> str:
    """The nearest known name, or all of them."""
    near = get_close_matches(given, known, n=1)
    return f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(known)}"
