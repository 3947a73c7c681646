"""What a reader takes in: which formats, and how their records become the kind it wants.

preferences     pairs
comparisons     pairs, or single responses with a label (for KTO)
demonstrations  responses to imitate; of labelled ones the desirable; of pairs, where asked
                for, the chosen side
prompts         prompts of anything
any             each format as what it is
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from palate.data.faults import Refusal, quote
from palate.data.formats import FORMATS, Format, Gives, named_format
from palate.data.formats.cells import Row, identity, require
from palate.data.formats.format import Record
from palate.data.formats.singles import response_column
from palate.data.layout import Layout
from palate.data.records import Demonstration, Preference, Prompt
from palate.errors import RecipeError

Wanted_co = TypeVar("Wanted_co", bound=Preference | Demonstration | Prompt, covariant=True)
# What people call the array of all rows.
_WRAPPERS = {"data", "rows", "train", "examples", "items", "records", "instances", "results"}
Take = Callable[[Format, Row, Layout, str], Sequence[Wanted_co]]


@dataclass(frozen=True)
class Door(Generic[Wanted_co]):
    """How rows become records of one kind.

    Attributes:
        what: the kind in words.
        gives: what formats may give to pass.
        take: a row of a format → records.
        refuse: says what a row lacks that no format knows.
    """

    what: str
    gives: frozenset[Gives]
    take: Take[Wanted_co]
    refuse: Callable[[Row], None]

    def find(self, row: Row, layout: Layout) -> Format:
        """The format that a person named, else the first that the row is of.

        Raises:
            Refusal: it is of none that passes here.
            RecipeError: the named format does not exist, or does not pass here.
        """
        if layout.format is not None:
            return self.named(layout.format)
        for known in FORMATS.values():
            if known.gives in self.gives and known.matches(row):
                return known
        if (inside := _rows_inside(row)) is not None:
            raise Refusal(
                "E201",
                f"all rows stand inside {quote(inside)}; write them alone: jq .{inside} FILE",
            )
        self.refuse(row)
        raise Refusal("E201", f"the row is of no format of {self.what}")

    def named(self, name: str) -> Format:
        """A format by its name, if it passes here."""
        found = named_format(name)
        if found.gives not in self.gives:
            hint = "; --use-chosen learns the chosen side" if found.gives == "pairs" else ""
            raise RecipeError(
                f"format {name} holds {found.gives}, where {self.what} are asked for{hint}"
            )
        return found


def _take_pairs(form: Format, row: Row, layout: Layout, origin: str) -> list[Preference]:
    return [r for r in form.read(row, layout, origin) if isinstance(r, Preference)]


def _take_comparisons(
    form: Format, row: Row, layout: Layout, origin: str
) -> list[Preference | Demonstration]:
    return [r for r in form.read(row, layout, origin) if not isinstance(r, Prompt)]


def _take_shown(form: Format, row: Row, layout: Layout, origin: str) -> list[Demonstration]:
    shown = [r for r in form.read(row, layout, origin) if isinstance(r, Demonstration)]
    wanted = [replace(r, desirable=None) for r in shown if r.desirable is not False]
    if not wanted:
        raise Refusal("W505", "the response is labelled undesirable")
    return wanted


def _take_chosen(form: Format, row: Row, layout: Layout, origin: str) -> list[Demonstration]:
    pairs = _take_pairs(form, row, layout, origin)
    best = {
        (p.prompt, p.chosen): Demonstration(p.prompt, p.chosen, p.weight, origin) for p in pairs
    }
    return list(best.values())


def _take_prompts(form: Format, row: Row, layout: Layout, origin: str) -> list[Prompt]:
    if form.ask is not None:
        texts = [form.ask(row)]
    else:
        texts = list(dict.fromkeys(r.prompt for r in form.read(row, layout, origin)))
    rest = {name: value for name, value in row.items() if name not in form.columns}
    return [Prompt(text, identity(row), origin, rest) for text in texts]


def _take_any(form: Format, row: Row, layout: Layout, origin: str) -> Sequence[Record]:
    return form.read(row, layout, origin)


def _rows_inside(row: Row) -> str | None:
    """The column that holds the file's rows, of a row that has no more than that and a name."""
    lists = [
        name
        for name, value in row.items()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    ]
    return lists[0] if len(lists) == 1 and lists[0] in _WRAPPERS else None


def _no_pair(row: Row) -> None:
    require(row, "chosen")
    require(row, "rejected")


def _no_response(row: Row) -> None:
    if "prompt" in row:
        response_column(row)
    require(row, "text", wanted="prompt and completion, prompt and response, messages, or text")


def _no_prompt(row: Row) -> None:
    if "chosen" in row or "rejected" in row:
        _no_pair(row)
    require(row, "prompt")


def _no_record(row: Row) -> None:
    if "chosen" in row or "rejected" in row:
        _no_pair(row)
    _no_response(row)


PREFERENCES = Door("pairs", frozenset({"pairs"}), _take_pairs, _no_pair)
COMPARISONS = Door(
    "pairs or labelled responses", frozenset({"pairs", "labelled"}), _take_comparisons, _no_pair
)
DEMONSTRATIONS = Door(
    "demonstrations", frozenset({"labelled", "demonstrations"}), _take_shown, _no_response
)
CHOSEN = Door("pairs", frozenset({"pairs"}), _take_chosen, _no_pair)
PROMPTS = Door(
    "prompts", frozenset({"pairs", "labelled", "demonstrations", "prompts"}), _take_prompts,
    _no_prompt,
)  # fmt: skip
ANY = Door("records", PROMPTS.gives, _take_any, _no_record)
