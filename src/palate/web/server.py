"""The web server's own side: the socket, its limits in time and number, starting and stopping."""

import asyncio
import errno
import logging
import socket
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from palate.errors import UsageError

REQUEST_SECONDS = 15.0
"""How long a connection may take to bring a whole request, headers and body."""

MAX_CONNECTIONS = 512
"""Connections open at once; more are answered 503."""


class TimedProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on connections that bring no whole request in time.

    uvicorn's own limit begins with the first answer, so that an idle or dribbling connection would
    stay for ever.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        is_whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if is_whole:
            self._disarm()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """uvicorn, which returns after a signal instead of raising it again: Ctrl-C is the way out."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def listen(host: str, port: int) -> socket.socket:
    """Take a port before anything is printed; 0 takes a free one.

    Raises:
        UsageError: the address is not this machine's, or another program has the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Listening takes the port for good: two programs may bind one port, but not listen on it.
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(_why_not(host, port, error)) from None
    return listener


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM; answers that are under way are finished first."""
    make_server(app).run(sockets=[listener])


def make_server(app: ASGIApp) -> Server:
    """A server with the limits of this page; `run(sockets=[listener])` starts it."""
    # Its log would repeat every address that is asked for; what people need is printed by us.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    config: dict[str, Any] = {
        "http": TimedProtocol,
        "ws": "none",
        "loop": "asyncio",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "limit_concurrency": MAX_CONNECTIONS,
        "timeout_keep_alive": 30,
        "timeout_graceful_shutdown": 5,
        "h11_max_incomplete_event_size": 16 * 1024,
    }
    return Server(uvicorn.Config(app, **config))


def open_browser_at(link: str) -> None:
    """Show a page that is about to be served, on this machine."""
    # The socket listens already, so a browser that is quicker than the server waits.
    opening = threading.Timer(0.5, webbrowser.open, [link])
    opening.daemon = True
    opening.start()


@contextmanager
def running(app: ASGIApp, listener: socket.socket) -> Iterator[Server]:
    """Answer requests in a thread of this process while the block runs."""
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(10)


def _why_not(host: str, port: int, error: Exception) -> str:
    reason = getattr(error, "errno", None)
    if reason == errno.EADDRINUSE:
        return (
            f"--port {port}: another program has this port; stop it, name another port, or let "
            "--port 0 find a free one"
        )
    if reason == errno.EACCES:
        return f"--port {port}: not allowed to use this port; choose one above 1023"
    if isinstance(error, OverflowError):
        return f"--port {port}: a port is a number from 0 to 65535"
    if reason in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) or isinstance(error, socket.gaierror):
        return f"--host {host}: not an address of this machine; leave it out for 127.0.0.1"
    return f"--host {host} --port {port}: cannot be served ({error})"
