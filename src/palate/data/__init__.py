"""Records, their faults, their tokens: everything between a file and a forest."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.data.check import CheckReport as CheckReport
    from palate.data.check import FaultGroup as FaultGroup
    from palate.data.check import check_preferences as check_preferences
    from palate.data.faults import FAULTS as FAULTS
    from palate.data.faults import Fault as Fault
    from palate.data.faults import RowFault as RowFault
    from palate.data.formats import FORMATS as FORMATS
    from palate.data.hh import format_dialogue as format_dialogue
    from palate.data.hh import parse_dialogue as parse_dialogue
    from palate.data.layout import Layout as Layout
    from palate.data.records import Demonstration as Demonstration
    from palate.data.records import Preference as Preference
    from palate.data.records import Prompt as Prompt
    from palate.data.records import Text as Text
    from palate.data.records import Turn as Turn
    from palate.data.records import prompt_key as prompt_key
    from palate.data.render import Overlong as Overlong
    from palate.data.render import RenderedDemonstration as RenderedDemonstration
    from palate.data.render import RenderedPair as RenderedPair
    from palate.data.render import Renderer as Renderer
    from palate.data.rows import parse_demonstration as parse_demonstration
    from palate.data.rows import parse_preference as parse_preference
    from palate.data.rows import parse_prompt as parse_prompt
    from palate.data.rows import to_row as to_row
    from palate.data.sources import Reading as Reading
    from palate.data.sources import demonstrations_from_rows as demonstrations_from_rows
    from palate.data.sources import preferences_from_rows as preferences_from_rows
    from palate.data.sources import prompts_from_rows as prompts_from_rows
    from palate.data.sources import read_demonstrations as read_demonstrations
    from palate.data.sources import read_preferences as read_preferences
    from palate.data.sources import read_prompts as read_prompts
    from palate.data.splits import Halves as Halves
    from palate.data.splits import Split as Split
    from palate.data.splits import halves as halves
    from palate.data.splits import split_by_prompt as split_by_prompt

_MODULES = {
    "check": ("CheckReport", "FaultGroup", "check_preferences"),
    "faults": ("FAULTS", "Fault", "RowFault"),
    "formats": ("FORMATS",),
    "hh": ("format_dialogue", "parse_dialogue"),
    "layout": ("Layout",),
    "records": ("Demonstration", "Preference", "Prompt", "Text", "Turn", "prompt_key"),
    "render": ("Overlong", "RenderedDemonstration", "RenderedPair", "Renderer"),
    "rows": ("parse_demonstration", "parse_preference", "parse_prompt", "to_row"),
    "sources": (
        "Reading",
        "demonstrations_from_rows",
        "preferences_from_rows",
        "prompts_from_rows",
        "read_demonstrations",
        "read_preferences",
        "read_prompts",
    ),
    "splits": ("Halves", "Split", "halves", "split_by_prompt"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
