"""The matrix: hosts × origins × every route; and what comes with every answer."""

import itertools
from collections.abc import Sequence

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from tests.web.conftest import Answer, Client, MakeSite

from palate.web.app import label_app
from palate.web.gate import HEADERS, Gate

OWN_HOSTS = ("127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}")
FOREIGN_HOSTS = (
    "evil.example:{port}", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", "localhost", "",
)  # fmt: skip
OWN_ORIGINS = (None, "http://127.0.0.1:{port}")
FOREIGN_ORIGINS = ("http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}")


def routes_of(app: Starlette) -> list[tuple[str, str]]:
    """Every method and address that an application answers, and one that it does not."""
    found = [
        (method, route.path.replace("{name}", "palate.css"))  # type: ignore[attr-defined]
        for route in app.routes
        for method in sorted(route.methods)  # type: ignore[attr-defined]
    ]
    return [*found, ("GET", "/nothing-here")]


def ask(client: Client, method: str, path: str, host: str, origin: str | None) -> Answer:
    headers = {"Host": host.format(port=client.port)}
    if origin is not None:
        headers["Origin"] = origin.format(port=client.port)
    if method == "POST":
        headers |= {"Content-Type": "application/json", "X-Palate-Token": client.token}
    return client.ask(method, path, headers=headers, body=b"{}" if method == "POST" else None)


def test_only_own_hosts_and_origins_get_anything_on_any_route(make_site: MakeSite) -> None:
    site = make_site()
    routes = routes_of(label_app(site.desk))
    assert len(routes) > 10
    check_matrix(routes, site.client(is_admin=True))


def check_matrix(routes: Sequence[tuple[str, str]], client: Client) -> None:
    """8 hosts × 6 origins × every route, each with the headers of a safe answer."""
    hosts, origins = (*OWN_HOSTS, *FOREIGN_HOSTS), (*OWN_ORIGINS, *FOREIGN_ORIGINS)
    assert (len(hosts), len(origins)) == (8, 6)
    for (method, path), host, origin in itertools.product(routes, hosts, origins):
        answer = ask(client, method, path, host, origin)
        is_own = host in OWN_HOSTS and origin in OWN_ORIGINS
        case = (method, path, host, origin, answer.status)
        if host in FOREIGN_HOSTS:
            assert answer.status in (400, 421), case
        elif not is_own:
            assert answer.status == 403, case
        else:
            assert answer.status not in (403, 421), case
        if answer.status != 400 or is_own:  # 400 of the server itself: no Host at all
            assert (
                HEADERS.items()
                <= {name: answer.headers.get(name.lower()) for name in HEADERS}.items()
            ), case
        assert not any(name.startswith("access-control") for name in answer.headers), case


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"sec-fetch-site": "same-origin"}, None),
        ("POST", {"sec-fetch-site": "none"}, None),
        ("POST", {"sec-fetch-site": "same-site"}, 403),
        ("POST", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", {"content-type": "text/plain"}, 415),
        ("POST", {"content-type": "application/x-www-form-urlencoded"}, 415),
        ("POST", {"content-type": ""}, 415),
        ("POST", {"content-type": "application/json; charset=utf-8"}, None),
        ("PUT", {"sec-fetch-site": "cross-site"}, 403),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, None),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
    ],
)
def test_other_sites_may_lead_here_and_do_no_more(
    method: str, headers: dict[str, str], status: int | None
) -> None:
    gate = Gate(Starlette(), origins=["http://127.0.0.1:8321"])
    given = {"host": "127.0.0.1:8321", "content-type": "application/json", **headers}
    refusal = gate.refusal(method, Headers(given))
    assert (refusal.status if refusal else None) == status


def test_two_hosts_are_no_host() -> None:
    gate = Gate(Starlette(), origins=["http://127.0.0.1:8321"])
    raw = [(b"host", b"127.0.0.1:8321"), (b"host", b"evil.example")]
    refusal = gate.refusal("GET", Headers(raw=raw))
    assert refusal is not None
    assert refusal.status == 421


TRAVERSALS = [
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/%2e%2e%2fapp.py",
    "/static/..%5capp.py", "/static/....//app.py", "/static//etc/passwd", "/static/%2fetc%2fpasswd",
    "/static/palate.css%00.js", "/static/%00", "/static/.", "/static/..", "/static/", "/static",
    "/static/palate.css/", "/static/palate.css/..", "/static/PALATE.CSS", "/static/~root",
    "//static/palate.css", "/./static/palate.css", "/static/%252e%252e%252fapp.py",
    "/static/C:%5cwindows%5cwin.ini", "/static/%5c%5chost%5cshare", "/..;/static/palate.css",
    "/static/palate.css;/../app.py", "/templates/label.html.jinja", "/pairs.votes.sqlite",
    "/pairs.votes.sqlite.key", "/%2e%2e/%2e%2e/etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_no_address_becomes_a_path(make_site: MakeSite, is_signed_in: bool) -> None:
    site = make_site()
    client = site.client(is_admin=True) if is_signed_in else Client(site.port)
    assert client.ask("GET", "/static/palate.css").status == 200
    assert {path: client.ask("GET", path).status for path in TRAVERSALS} == dict.fromkeys(
        TRAVERSALS, 404
    )


def test_a_defect_says_nothing_to_the_browser_and_where_it_was_to_the_shell(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site()
    client = site.client()

    def fail(*args: object) -> None:
        raise RuntimeError("a detail")

    monkeypatch.setattr("palate.collection.store.Store.progress", fail)
    answer = client.post("/api/questions", {"have": []})
    assert answer.status == 500
    assert answer.json == {"error": "a defect of Palate; it is told where palate label runs"}
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert "test_gate.py" in caplog.text
    assert "RuntimeError: a detail" in caplog.text
    assert client.token not in caplog.text
