"""Pages that people open in a browser, served from this machine by `palate label`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.web.app import label_app as label_app
    from palate.web.gate import Gate as Gate
    from palate.web.people import People as People
    from palate.web.server import listen as listen
    from palate.web.server import serve as serve

_MODULES = {
    "app": ("label_app",),
    "gate": ("Gate",),
    "people": ("People",),
    "server": ("listen", "serve"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
