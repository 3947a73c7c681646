"""The question: stages as runs, their comparison, and the report of it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.experiments.compare import run_compare as run_compare
    from palate.experiments.comparison import Comparison as Comparison
    from palate.experiments.cost import Cost as Cost
    from palate.experiments.entries import Entry as Entry
    from palate.experiments.report import render_report as render_report
    from palate.experiments.report import write_report as write_report
    from palate.experiments.run import Frame as Frame
    from palate.experiments.run import run_dpo as run_dpo
    from palate.experiments.run import run_ppo as run_ppo
    from palate.experiments.run import run_reward as run_reward
    from palate.experiments.run import run_sft as run_sft
    from palate.experiments.work import Outcome as Outcome

_MODULES = {
    "compare": ("run_compare",),
    "comparison": ("Comparison",),
    "cost": ("Cost",),
    "entries": ("Entry",),
    "report": ("render_report", "write_report"),
    "run": ("Frame", "run_dpo", "run_ppo", "run_reward", "run_sft"),
    "work": ("Outcome",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
