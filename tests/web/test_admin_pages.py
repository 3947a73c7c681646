"""Quality, disagreements, invitations and export: what an admin sees and does, and nobody else."""

import csv
import io
import json
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from tests.web.conftest import Client, MakeSite, OpenWindow, Site

from palate.collection import Item
from palate.data import preferences_from_rows

READS = ["/quality", "/disagreements", "/export/majority.jsonl", "/export/majority.csv"]
WRITES = {
    "/api/rulings": {"item": 1, "choice": "left", "note": "", "request": "r"},
    "/api/exclusions": {"annotator": 1, "is_excluded": True, "reason": ""},
    "/api/invitations": {"name": "eve"},
}


def vote(site: Site, name: str, *choices: str) -> None:
    """Vote on the questions of an annotator, one after another."""
    who = site.annotator(name).id
    for choice in choices:
        site.store.vote(who, site.store.questions(who)[0].id, choice, latency_ms=9000)


def test_annotators_and_strangers_get_nothing_of_an_admin(make_site: MakeSite) -> None:
    site = make_site()
    vote(site, "ann", "left")
    clients = {403: site.client("ann"), 401: Client(site.port)}
    before = site.store.quality()
    for status, client in clients.items():
        assert [client.ask("GET", path).status for path in READS] == [status] * len(READS)
        assert [client.post(path, sent).status for path, sent in WRITES.items()] == [status] * 3
    assert site.store.quality() == before
    assert [one.name for one in site.store.annotators()] == ["ann"]


def test_reading_changes_nothing(make_site: MakeSite) -> None:
    site = make_site()
    boss = site.client("boss", is_admin=True)
    vote(site, "ann", "left")
    with site.store._log.reading() as state:
        before = state.last
    assert [boss.ask("GET", path).status for path in ["/", "/health", *READS]] == [200] * 6
    with site.store._log.reading() as state:
        assert state.last == before


def test_quality_follows_the_votes_and_leaves_somebody_out(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(4, votes_per_item=2)
    vote(site, "ann", "left", "right")
    shown = window(site, "boss", is_admin=True, path="/quality")
    votes = shown.page.locator(".figures dd").first
    expect(votes).to_contain_text("2 of 8 wanted")
    vote(site, "ben", "left")
    expect(votes).to_contain_text("3 of 8 wanted", timeout=8_000)
    shown.page.get_by_role("button", name="Leave out ben").click()
    expect(votes).to_contain_text("2 of 8 wanted")
    shown.page.get_by_role("button", name="Count ben").click()
    expect(votes).to_contain_text("3 of 8 wanted")
    assert not shown.complaints


def test_a_ruling_decides_a_pair_on_which_votes_differ(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(
        [Item("Which?", "The first.", "The second.", name="the-pair")], votes_per_item=2
    )
    for name, wanted in (("ann", "The first."), ("ben", "The second.")):
        [question] = site.store.questions(site.annotator(name).id)
        vote(site, name, "left" if question.left == wanted else "right")
    boss = site.client("boss", is_admin=True)
    assert boss.ask("GET", "/export/majority.jsonl").body == b""
    shown = window(site, "boss", path="/disagreements")
    expect(shown.page.get_by_text("1 to decide")).to_be_visible()
    [contest] = site.store.contests(site.annotator("boss").id)
    ballots = {ballot.annotator: ballot.choice for ballot in contest.ballots}
    assert ballots["ann"] == ("left" if contest.left == "The first." else "right")
    button = shown.page.get_by_role("button", name="Response 2", exact=True)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    [row] = map(json.loads, boss.ask("GET", "/export/adjudicated.jsonl").body.splitlines())
    assert row["id"] == "the-pair"
    assert row["annotator"] == ["boss"]
    assert preferences_from_rows([row]).records[0].chosen == contest.right
    shown.page.get_by_role("button", name="Take it back").click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert boss.ask("GET", "/export/adjudicated.jsonl").body == b""


def test_an_invitation_is_a_link_that_signs_its_annotator_in(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site()
    shown = window(site, "boss", is_admin=True, path="/quality")
    shown.page.get_by_label("Name").fill("Zoë")
    shown.page.keyboard.press("Enter")
    expect(shown.page.locator("#invited")).to_contain_text("For Zoë, opens once")
    link = urlsplit(shown.page.inner_text("#invited code"))
    client = Client(site.port)
    answer = client.ask("GET", f"/?{link.query}")
    client.cookie = answer.headers["set-cookie"].partition(";")[0]
    assert client.ask("GET", "/").status == 200
    assert client.ask("GET", "/quality").status == 403


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "x" * 101, "\x1b[31m"])
def test_a_name_that_cannot_be_one_is_refused_in_words(make_site: MakeSite, name: str) -> None:
    answer = make_site().client("boss", is_admin=True).post("/api/invitations", {"name": name})
    assert answer.status in (400, 409)
    assert "characters" in answer.json["error"]


def test_a_spreadsheet_gets_nothing_that_it_would_run(make_site: MakeSite) -> None:
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    items = [Item(f"{text}?", f"{text}.", f"no {text}", name=text.strip()) for text in formulas]
    site = make_site(items)
    vote(site, "ann", *["left"] * len(items))
    answer = site.client("boss", is_admin=True).ask("GET", "/export/majority.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.body.decode(), newline="")))
    assert len(rows) == 1 + len(items)
    assert not [
        cell
        for row in rows[1:]
        for cell in row
        if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    ]


@pytest.mark.parametrize(
    "name", ["x.jsonl", "majority", "majority.exe", "majority.jsonl.csv", ".."]
)
def test_there_are_no_other_exports(make_site: MakeSite, name: str) -> None:
    assert make_site().client("boss", is_admin=True).ask("GET", f"/export/{name}").status == 404
