"""Links, cookies, tokens and roles."""

import stat
from pathlib import Path

import pytest
from tests.web.conftest import Client, MakeSite, OpenWindow

from palate.errors import UsageError
from palate.web.people import read_key

WRITES = ["/api/questions", "/api/decisions", "/api/undo", "/api/remarks"]


def test_a_link_opens_once_and_leaves_no_trace_of_its_secret(make_site: MakeSite) -> None:
    site = make_site()
    link = site.desk.link(site.annotator())
    secret = link.partition("?t=")[2]
    client = Client(site.port)
    assert client.ask("HEAD", f"/?t={secret}").status == 401  # looks, and uses nothing up
    first = client.ask("GET", f"/?t={secret}")
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert client.ask("GET", f"/?t={secret}").status == 403
    client.cookie = cookie.partition(";")[0]
    page = client.ask("GET", "/")
    assert page.status == 200
    assert secret not in f"{page.body!r} {page.headers} {cookie}"
    # Who is signed in and opens an old link again is not locked out.
    assert client.ask("GET", f"/?t={secret}").status == 303


@pytest.mark.parametrize(
    "cookie",
    ["", "1", "1.", "1.nonce.", "2.{nonce}.{mac}", "{id}.other.{mac}", "{id}.{nonce}.{mac}0",
     "9999999999999.{nonce}.{mac}", "١.{nonce}.{mac}", "-1.{nonce}.{mac}"],
)  # fmt: skip
def test_a_cookie_that_was_not_given_is_nobodys(make_site: MakeSite, cookie: str) -> None:
    site = make_site()
    client = site.client()
    site.annotator("ben")
    name, _, value = client.cookie.partition("=")
    number, nonce, mac = value.split(".")
    client.cookie = f"{name}={cookie.format(id=number, nonce=nonce, mac=mac)}".encode().decode(
        "latin-1"
    )
    assert client.ask("GET", "/").status == 401
    assert [client.post(path, {}).status for path in WRITES] == [401] * len(WRITES)


def test_a_write_needs_the_token_of_its_own_cookie(make_site: MakeSite) -> None:
    site = make_site()
    ann, ben = site.client("ann"), site.client("ben")
    assert ann.post("/api/questions", {"have": []}).status == 200
    for token in ("", "0" * 64, ben.token, ann.token[:-1], "ü"):
        ann.token = token
        assert ann.post("/api/questions", {"have": []}).status == 403


def test_a_browser_stays_signed_in_over_a_restart_until_its_annotator_gets_a_new_secret(
    make_site: MakeSite,
) -> None:
    site = make_site()
    client = site.client()
    key = site.path.with_name(f"{site.path.name}.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert read_key(key) == read_key(key)
    assert client.ask("GET", "/").status == 200
    site.store.add_annotator("ann")
    assert client.ask("GET", "/").status == 401


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    for number, content in enumerate(("", "abc", "no hexadecimal", "00" * 16)):
        path = tmp_path / str(number)
        path.write_text(content)
        with pytest.raises(UsageError, match="delete it"):
            read_key(path)


def test_one_annotator_cannot_touch_anothers_question(make_site: MakeSite) -> None:
    site = make_site()
    ann, ben = site.client("ann"), site.client("ben")
    [first, _] = ann.post("/api/questions", {"have": []}).json["questions"]
    vote = {"question": first["id"], "choice": "left", "latency_ms": 1, "request": "r", "have": []}
    answer = ben.post("/api/decisions", vote)
    assert answer.status == 409
    assert "no question" in answer.json["error"]
    assert ann.post("/api/decisions", vote).status == 200


def test_a_link_in_another_page_signs_in_too(make_site: MakeSite, window: OpenWindow) -> None:
    """Browsers hold a strict cookie back on the way from another site; the page asks again."""
    site = make_site()
    shown = window(site)
    page = shown.page
    page.context.clear_cookies()
    link = site.desk.link(site.annotator())
    # localhost and 127.0.0.1 are two sites to a browser.
    page.goto(f"http://localhost:{site.port}/health")
    page.set_content(f'<a href="{link}">the link</a>')
    page.get_by_text("the link").click()
    page.wait_for_selector("#question:not([hidden])")
    assert page.url == f"{site.address}/"
