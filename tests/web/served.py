"""An application on a real port of this machine."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from palate.web.server import listen, running


@dataclass(kw_only=True)
class Served:
    """It answers between `start` and `stop`.

    Attributes:
        port: where it listens.
        app: what answers.
    """

    port: int
    app: ASGIApp
    _serving: ExitStack = field(default_factory=ExitStack)

    def start(self, listener: socket.socket | None = None) -> None:
        """Serve, on the same port as before."""
        listener = listener or listen("127.0.0.1", self.port)
        self._serving.enter_context(listener)
        self._serving.enter_context(running(self.app, listener))

    def stop(self) -> None:
        """Answer nobody any more."""
        self._serving.close()

    @property
    def address(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"
