"""Every format of preference data that is read: one table, a file a family.

A file's format is that of most of its first rows; the table's order decides where a row would fit
two. See docs/data.md for an example of each.
"""

from palate.data.faults import Refusal
from palate.data.formats.arena import ARENA, ARENA_LABELS
from palate.data.formats.arena_texts import ARENA_TEXTS
from palate.data.formats.cells import Row
from palate.data.formats.format import Format, Gives, Record
from palate.data.formats.helpsteer import HELPSTEER2, HELPSTEER3
from palate.data.formats.known import slip_of
from palate.data.formats.llama_factory import (
    ALPACA,
    ALPACA_KTO,
    ALPACA_PAIRS,
    ALPACA_RANKING,
    SHAREGPT,
    SHAREGPT_KTO,
    SHAREGPT_PAIRS,
)
from palate.data.formats.open_assistant import OPEN_ASSISTANT
from palate.data.formats.pairs import EXPLICIT, HH, IMPLICIT
from palate.data.formats.ranked import RANKING, SCORED
from palate.data.formats.singles import MESSAGES, PROMPT_COMPLETION, PROMPTS, TEXT, UNPAIRED
from palate.data.layout import Layout, did_you_mean
from palate.errors import RecipeError

__all__ = [
    "FORMATS",
    "Format",
    "Gives",
    "Record",
    "Refusal",
    "Row",
    "known_layout",
    "named_format",
]

FORMATS: dict[str, Format] = {
    found.name: found
    for found in (
        ALPACA_PAIRS,
        SHAREGPT_PAIRS,
        OPEN_ASSISTANT,
        ARENA,
        ARENA_LABELS,
        ARENA_TEXTS,
        HELPSTEER2,
        HELPSTEER3,
        HH,
        EXPLICIT,
        IMPLICIT,
        SCORED,
        RANKING,
        ALPACA_RANKING,
        ALPACA_KTO,
        SHAREGPT_KTO,
        UNPAIRED,
        ALPACA,
        SHAREGPT,
        MESSAGES,
        PROMPT_COMPLETION,
        TEXT,
        PROMPTS,
    )
}


def named_format(name: str) -> Format:
    """The format of that name.

    Raises:
        RecipeError: there is none; the message names the nearest.
    """
    if name not in FORMATS:
        raise RecipeError(
            f"format is {name!r}, which is not known; {did_you_mean(name, tuple(FORMATS))}"
        )
    return FORMATS[name]


def known_layout(layout: Layout) -> Layout:
    """The same layout, once its names are looked at.

    Raises:
        RecipeError: there is no such format, or one of our column names is a slip. Other names
            are in order: reward functions read columns of any name.
    """
    if layout.format is not None:
        named_format(layout.format)
    for ours, theirs in layout.columns.items():
        if near := slip_of(ours):
            raise RecipeError(
                f"columns says {ours}={theirs}, and {ours!r} is no column here; did you mean "
                f"{near}={theirs}?"
            )
    return layout
