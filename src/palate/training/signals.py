"""What asks a run to end after the step it is in: SIGINT, SIGTERM, or a file in its folder.

The file serves those who cannot signal: a page in a browser, another user, another machine that
shares the disk. Looking for it costs a few microseconds a step.
"""

import signal
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any


class Signals:
    """The first signal is noted in `received`; a second one is a KeyboardInterrupt at once.

    Args:
        request: the file that counts as a SIGINT while it is there; None looks for none.
    """

    def __init__(self, request: Path | None = None) -> None:
        self._received: int | None = None
        self._request = request
        self._handlers: dict[int, Any] = {}

    @property
    def received(self) -> int | None:
        """The number of the signal that asked for an end; None while nobody has."""
        if self._received is None and self._request is not None and self._request.exists():
            self._received = int(signal.SIGINT)
        return self._received

    def listen(self) -> None:
        """Begin; signals where it is possible, in the main thread."""
        self._forget_request()  # meant for an earlier run
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._note)

    def leave(self) -> None:
        """Put back what was there before."""
        self._forget_request()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            raise KeyboardInterrupt
        self._received = number

    def _forget_request(self) -> None:
        if self._request is not None:
            with suppress(OSError):
                self._request.unlink()
