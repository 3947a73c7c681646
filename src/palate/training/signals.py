"""SIGINT and SIGTERM, noted so that a run can end after the step it is in."""

import signal
import threading
from types import FrameType
from typing import Any


class Signals:
    """The first signal is noted in `received`; a second one is a KeyboardInterrupt at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._handlers: dict[int, Any] = {}

    def listen(self) -> None:
        """Begin, where it is possible: in the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._note)

    def leave(self) -> None:
        """Put back what was there before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
