"""A real HTTP server on loopback that answers as a script says: the client under test is real."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One scripted answer; a fault is `act`, which gets the handler and sends what it likes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    act: "Callable[[BaseHTTPRequestHandler], None] | None" = None


@dataclass
class Script:
    """What the server says in turn (the last one for ever), and what it was asked."""

    answers: Sequence[Answer]
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    url: str = ""

    @property
    def num_calls(self) -> int:
        """Requests that arrived."""
        return len(self.asked)


Reply = Callable[[dict[str, Any]], Answer]


def said(text: str | None, *, reason: str = "stop", usage: bool = True, **message: Any) -> Answer:
    """A chat completion."""
    content = {"choices": [{"message": {"content": text, **message}, "finish_reason": reason}]}
    counted = {"usage": {"prompt_tokens": 7, "completion_tokens": 3}} if usage else {}
    return Answer(body=json.dumps(content | counted).encode())


def failed(status: int, message: str = "no", **headers: str) -> Answer:
    """An error as OpenAI's API words it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"error": {"message": message}}).encode(), named)


def reset_in_the_middle(handler: BaseHTTPRequestHandler) -> None:
    """Half of a body, then the connection is reset."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True


def never(handler: BaseHTTPRequestHandler) -> None:
    """No answer while anybody waits."""
    handler.connection.settimeout(20)
    with suppress(OSError):
        handler.rfile.read(1)
    handler.close_connection = True


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, so that no read ever times out."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        handler.close_connection = True


def ten_megabytes(handler: BaseHTTPRequestHandler) -> None:
    """A reply that goes on and on."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(10 * 2**20))
    handler.end_headers()
    with suppress(OSError):
        for _ in range(160):
            handler.wfile.write(b"x" * 65536)
    handler.close_connection = True


@contextmanager
def serving(answers: Sequence[Answer] | Reply) -> Iterator[Script]:
    """Serve a script, or what a function makes of each request, on a free port of loopback."""
    script = Script(() if callable(answers) else answers)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length))
            with lock:
                number = script.num_calls
                script.asked.append({"path": self.path, **body})
                script.headers.append(dict(self.headers))
                script.times.append(time.monotonic())
            answer = answers(body) if callable(answers) else answers[min(number, len(answers) - 1)]
            if answer.act is not None:
                answer.act(self)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that left is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
