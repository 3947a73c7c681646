"""What people voted, kept in one file and measured: store, questions, quality and export."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.collection.answers import Contest as Contest
    from palate.collection.answers import Progress as Progress
    from palate.collection.answers import Question as Question
    from palate.collection.answers import Receipt as Receipt
    from palate.collection.items import Item as Item
    from palate.collection.settings import CollectionSettings as CollectionSettings
    from palate.collection.state import Annotator as Annotator
    from palate.collection.store import Store as Store
    from palate.collection.store import open_store as open_store

_MODULES = {
    "answers": ("Contest", "Progress", "Question", "Receipt"),
    "items": ("Item",),
    "settings": ("CollectionSettings",),
    "state": ("Annotator",),
    "store": ("Store", "open_store"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
