"""The server's limits: idle and dribbling connections, size of requests, ports."""

import socket
import time
from contextlib import ExitStack

import pytest
from tests.web.conftest import MakeSite

from palate.errors import UsageError
from palate.web import server
from palate.web.address import Address
from palate.web.entrance import MOST_BYTES


def test_two_hundred_idle_connections_keep_nobody_waiting(make_site: MakeSite) -> None:
    site = make_site()
    client = site.client()
    with ExitStack() as stack:
        for number in range(200):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            idle.sendall(b"POST /api/undo HTTP/1.1\r\nHost: x\r\n"[: number % 30])
        started = time.monotonic()
        assert client.post("/api/questions", {"have": []}).status == 200
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "start",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n",
     b"POST /api/undo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"],
)  # fmt: skip
def test_a_request_that_never_becomes_whole_is_hung_up_on(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.6)
    site = make_site()
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as slow:
        slow.sendall(start)
        started = time.monotonic()
        try:
            while time.monotonic() - started < 4:
                time.sleep(0.1)
                slow.sendall(b"a")  # a byte now and then wins no time
        except OSError:
            pass
        assert 0.4 < time.monotonic() - started < 3
    assert site.client().ask("GET", "/").status == 200


def test_a_connection_may_be_used_again_within_the_time(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.4)
    site = make_site()
    request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as kept:
        for _ in range(3):
            kept.sendall(request)
            got = b""
            while not got.endswith(b"}"):
                got += kept.recv(65536)
            assert got.startswith(b"HTTP/1.1 200")
            time.sleep(0.5)


def test_a_body_beyond_a_megabyte_is_refused_whether_or_not_it_says_so(
    make_site: MakeSite,
) -> None:
    site = make_site()
    client = site.client()
    large = {"have": [], "x": "x" * MOST_BYTES}
    assert client.post("/api/questions", large).status == 413
    chunk = b"x" * 300_000
    head = (
        f"POST /api/questions HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
        f"Cookie: {client.cookie}\r\nX-Palate-Token: {client.token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as chunked:
        chunked.sendall(head.encode())
        for _ in range(4):
            chunked.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        assert chunked.recv(65536).startswith(b"HTTP/1.1 413")


def test_headers_without_end_are_refused(make_site: MakeSite) -> None:
    site = make_site()
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 2_000_000)
        assert endless.recv(65536).startswith(b"HTTP/1.1 400")


def test_a_port_that_is_taken_is_told_with_a_way_out() -> None:
    with server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port}: another program.*--port 0"):
            server.listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 70_000, "a port is a number from 0 to 65535"),
        ("127.0.0.1", -1, "a port is a number from 0 to 65535"),
        ("203.0.113.7", 0, "not an address of this machine"),
        ("no such name", 0, "not an address of this machine"),
    ],
)
def test_addresses_that_cannot_be_served(host: str, port: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        server.listen(host, port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "labels.example.org"])
def test_other_machines_get_in_only_where_that_was_said(host: str) -> None:
    with pytest.raises(UsageError, match="--share-as"):
        Address(host)
    shared = Address(host, 8321, "https://Labels.example.org:443/")
    assert shared.origins(8321)[0] == "https://labels.example.org"


@pytest.mark.parametrize(
    "given", ["labels", "ftp://x", "http://", "http://x/path", "http://me@x", "http://x?t=1"]
)
def test_an_address_to_share_is_an_origin(given: str) -> None:
    with pytest.raises(UsageError, match="without a path"):
        Address("0.0.0.0", 8321, given)


def test_the_own_port_of_http_is_left_out_as_browsers_do() -> None:
    assert Address(port=80).origins(80)[0] == "http://127.0.0.1"
