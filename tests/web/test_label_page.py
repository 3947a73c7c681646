"""The labelling page in a real browser: every key, two annotators, trouble with the server."""

import re
import sqlite3
import time
from typing import Any

import pytest
from playwright.sync_api import Route, expect
from tests.web.conftest import MakeSite, OpenWindow

from palate.collection import Item, Store
from palate.collection.state import Showing
from palate.errors import StoreError
from palate.web import api

KEYS = {
    "1": "left", "ArrowLeft": "left", "2": "right", "ArrowRight": "right", "0": "tie", "t": "tie",
    "b": "both_bad",
}  # fmt: skip


def votes(store: Store) -> list[Showing]:
    with store._log.reading() as state:
        return list(state.votes())


def fill_up(store: Store) -> None:
    """Write until not even a word fits."""
    annotator = store.annotators()[0].id
    question = store.questions(annotator)[0].id

    def write(length: int) -> None:
        for _ in range(100):
            store.note(annotator, question, "x" * length)

    for length in (8000, 500, 1):
        with pytest.raises(StoreError, match="disk may be full"):
            write(length)


def test_one_key_is_one_vote_for_what_stood_on_that_side(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(len(KEYS))
    shown = window(site)
    pressed = {}
    for key, choice in KEYS.items():
        sides = [shown.page.inner_text(f"#{side}-text") for side in ("left", "right")]
        pressed[shown.prompt] = (choice, *sides)
        shown.press(key)
        shown.page.wait_for_function(
            "n => document.getElementById('bar').value === n", arg=len(pressed)
        )
    expect(shown.page.locator("#finished")).to_be_visible()
    found = {}
    for vote in votes(site.store):
        item = site.store.item(vote.item)
        sides = (
            [item.first, item.second] if vote.shown_left == "first" else [item.second, item.first]
        )
        assert vote.decision is not None
        found[item.prompt] = (vote.decision.choice, *sides)
        assert 100 < (vote.decision.latency_ms or 0) < 5_000
    assert found == pressed
    assert not shown.complaints


def test_a_decision_can_be_taken_back_however_many_there_are(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(4)
    shown = window(site)
    prompts = []
    for key in "1s0":
        prompts.append(shown.prompt)
        shown.press(key)
    shown.saved("Tie")
    for prompt in reversed(prompts):
        shown.press("u")
        expect(shown.page.locator("#prompt")).to_have_text(prompt)
    assert votes(site.store) == []
    shown.press("u")  # nothing is left to take back, and nothing happens
    expect(shown.page.locator("#undo")).to_be_disabled()
    for key in "2222":
        shown.press(key)
    expect(shown.page.locator("#finished")).to_be_visible()
    assert [vote.decision.choice for vote in votes(site.store) if vote.decision] == ["right"] * 4


def test_two_annotators_at_once_never_vote_on_one_pair_beyond_its_places(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(6)
    windows = [window(site, "ann"), window(site, "ben")]
    for _ in range(3):
        for shown in windows:
            shown.press("1")
            shown.saved("Response 1 is better")
    for shown in windows:
        expect(shown.page.locator("#count")).to_have_text(re.compile("^[56] of 6 votes$"))
        expect(shown.page.locator("#finished")).to_contain_text("3 pairs voted on by you")
    found = votes(site.store)
    assert sorted(vote.item for vote in found) == [1, 2, 3, 4, 5, 6]
    assert sorted(vote.annotator for vote in found) == [1, 1, 1, 2, 2, 2]


def test_keys_are_those_on_the_caps_whatever_the_layout(
    make_site: MakeSite, window: OpenWindow
) -> None:
    shown = window(make_site(1))
    actions = shown.page.evaluate(
        """async () => {
          const { actionOf } = await import("/static/keys.js");
          const of = (key, code, more = {}) =>
            actionOf(new KeyboardEvent("keydown", { key, code, ...more }));
          return [of("b", "KeyN"), of("и", "KeyB"), of("&", "Digit1"), of("x", "KeyB"),
                  of("1", "Digit1", {ctrlKey: true}), of("F1", "F1"), of("?", "Slash")];
        }"""
    )
    assert actions == ["both_bad", "both_bad", "left", None, None, None, "help"]


def test_typing_a_note_votes_on_nothing_and_the_note_is_kept(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(2)
    shown = window(site)
    shown.press("n")
    shown.page.keyboard.type("1 2 0 b: both say too much?")
    shown.page.get_by_label("Cut off or broken").check()
    shown.page.get_by_role("button", name="Save").click()
    expect(shown.page.locator("#last")).to_have_text("Remark saved")
    shown.page.reload()
    expect(shown.page.locator("#note-button")).to_have_attribute("aria-pressed", "true")
    [first, _] = site.store.questions(1, count=2)
    assert (first.note, first.flag) == ("1 2 0 b: both say too much?", "broken")
    assert votes(site.store) == []


def test_the_next_pair_is_on_screen_within_a_tenth_of_a_second(
    make_site: MakeSite, window: OpenWindow
) -> None:
    shown = window(make_site(12))
    waits = []
    for _ in range(8):
        shown.page.wait_for_timeout(170)
        waits.append(
            shown.page.evaluate(
                """() => new Promise((resolve) => {
                  const prompt = document.getElementById("prompt");
                  const before = prompt.textContent;
                  const start = performance.now();
                  const look = () => prompt.textContent !== before
                    ? resolve(performance.now() - start) : requestAnimationFrame(look);
                  const press = new KeyboardEvent("keydown", { key: "1", code: "Digit1" });
                  document.dispatchEvent(press);
                  requestAnimationFrame(look);
                })"""
            )
        )
    assert sorted(waits)[4] <= 100, waits


def test_a_second_press_before_the_next_pair_was_seen_does_not_vote(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(3)
    shown = window(site)
    shown.press("1")
    shown.page.keyboard.press("1")
    shown.saved("Response 1 is better")
    assert len(votes(site.store)) == 1


def test_a_vote_that_cannot_be_written_is_told_kept_and_sent_again(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(3)
    shown = window(site)
    connection: sqlite3.Connection = site.store._log._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")  # to SQLite this is a full disk
    fill_up(site.store)
    shown.press("1")
    alert = shown.page.get_by_role("alert")
    expect(alert).to_contain_text("Not saved yet")
    expect(alert).to_contain_text("disk may be full")
    assert votes(site.store) == []
    shown.page.reload()  # the decision waits in the browser
    expect(alert).to_contain_text("Not saved yet")
    connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    shown.page.get_by_role("button", name="Try now").click()
    expect(alert).to_be_hidden()
    assert [vote.decision.choice for vote in votes(site.store) if vote.decision] == ["left"]
    assert shown.dialogs == ["beforeunload"]  # leaving the page with an unsaved vote asks first


def test_a_server_that_goes_and_comes_back_loses_nothing(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(4)
    shown = window(site)
    site.stop()
    shown.press("2")
    expect(shown.page.get_by_role("alert")).to_contain_text("does not answer")
    shown.press("1")  # the pair that was at hand; then there is none, and the page says why
    expect(shown.page.locator("#waiting")).to_be_visible()
    site.start()
    shown.page.get_by_role("button", name="Try now").click()
    expect(shown.page.locator("#count")).to_have_text("2 of 4 votes")
    expect(shown.page.get_by_role("alert")).to_be_hidden()
    assert [vote.decision.choice for vote in votes(site.store) if vote.decision] == [
        "right",
        "left",
    ]


@pytest.mark.parametrize("is_reloaded", [False, True])
def test_an_undo_whose_answer_is_lost_takes_back_one_vote(
    make_site: MakeSite, window: OpenWindow, is_reloaded: bool
) -> None:
    site = make_site(5)
    shown = window(site)
    for _ in range(2):
        shown.press("1")
        shown.saved("Response 1 is better")

    def lose_answer(route: Route) -> None:
        route.fetch()  # the server acts; the page never hears of it
        route.abort()

    shown.page.route("**/api/undo", lose_answer)
    shown.press("u")
    alert = shown.page.get_by_role("alert")
    expect(alert).to_contain_text("Not taken back yet")
    shown.press("u")
    shown.page.unroute("**/api/undo")
    if is_reloaded:
        shown.page.reload()
    else:
        shown.page.get_by_role("button", name="Try now").click()
    expect(shown.page.locator("#last")).to_have_text("Taken back; decide again")
    expect(alert).to_be_hidden()
    expect(shown.page.locator("#count")).to_have_text("1 of 5 votes")
    assert len(votes(site.store)) == 1


def test_two_tabs_of_one_voter_lose_none_of_what_they_keep(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(6)
    shown = window(site)
    first, context = shown.page, shown.page.context
    second = context.new_page()
    second.goto(site.address)
    second.wait_for_selector("#question:not([hidden])")
    context.route("**/api/decisions", lambda route: route.abort())
    shown.press("1")
    shown.press("1")
    # The second tab has the same two pairs; it takes note of one, which is an entry of its own.
    context.route("**/api/remarks", lambda route: route.abort())
    second.bring_to_front()
    second.keyboard.press("n")
    second.keyboard.type("hm")
    second.get_by_role("button", name="Save").click()
    expect(second.get_by_role("alert")).to_contain_text("Not saved yet")
    first.close()
    context.unroute("**/api/decisions")
    context.unroute("**/api/remarks")
    second.get_by_role("button", name="Try now").click()
    expect(second.locator("#count")).to_have_text("2 of 6 votes")
    expect(second.get_by_role("alert")).to_be_hidden()
    assert len(votes(site.store)) == 2
    with site.store.reading() as state:
        assert [showing.note for showing in state.showings.values()][:2] == ["hm", ""]
    assert second.evaluate("Object.keys(localStorage).filter((k) => k.includes('outbox'))") == []


def test_a_decision_that_is_sent_twice_counts_once(make_site: MakeSite) -> None:
    site = make_site(2)
    client = site.client()
    [first, _] = client.post("/api/questions", {"have": []}).json["questions"]
    vote = {"question": first["id"], "choice": "tie", "latency_ms": 5, "request": "a", "have": []}
    assert [client.post("/api/decisions", vote).status for _ in range(3)] == [200] * 3
    assert len(votes(site.store)) == 1
    other = client.post("/api/decisions", {**vote, "choice": "left"})
    assert (other.status, len(votes(site.store))) == (409, 1)


def test_a_response_that_says_who_made_it_is_marked_and_its_vote_flagged(
    make_site: MakeSite, window: OpenWindow
) -> None:
    item = Item("Who?", "As an AI made by Initech, I cannot say.", "A friend of the house.")
    site = make_site([item])
    shown = window(site)
    badge = shown.page.locator(".badge:visible")
    expect(badge).to_have_text("says what it is: judge the answer alone")
    expect(badge).to_have_attribute("title", "As an AI made by Initech")
    shown.press("1")
    shown.saved("Response 1 is better")
    [contest] = site.store.contests(1)
    assert [ballot.flag for ballot in contest.ballots] == ["identity"]


NAMED = Item("Who?", "As an AI made by Initech, I cannot say.", "A friend of the house.")


def vote_on(question: int, request: str) -> dict[str, Any]:
    """A vote as the page sends it."""
    return {
        "question": question, "choice": "left", "latency_ms": 9, "request": request, "have": [],
    }  # fmt: skip


def flags(store: Store) -> list[str]:
    """Flags of all questions, in the order of their showing."""
    with store.reading() as state:
        return [showing.flag for showing in state.showings.values()]


def test_a_vote_is_flagged_by_a_server_that_did_not_hand_the_pair_out(make_site: MakeSite) -> None:
    site = make_site([NAMED])
    client = site.client()
    [question] = site.store.questions(1)  # as an earlier start of the server gave it
    assert client.post("/api/decisions", vote_on(question.id, "a")).status == 200
    assert flags(site.store) == ["identity"]


def test_a_note_without_a_flag_does_not_keep_a_vote_from_being_flagged(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site([NAMED])
    shown = window(site)
    shown.press("n")
    shown.page.keyboard.type("hm")
    shown.page.get_by_role("button", name="Save").click()
    expect(shown.page.locator("#last")).to_have_text("Remark saved")
    shown.press("1")
    shown.saved("Response 1 is better")
    assert flags(site.store) == ["identity"]


def test_a_flag_that_its_annotator_took_back_does_not_come_again(make_site: MakeSite) -> None:
    site = make_site([NAMED])
    client = site.client()
    [question] = client.post("/api/questions", {"have": []}).json["questions"]
    client.post("/api/decisions", vote_on(question["id"], "a"))
    client.post("/api/undo", {"request": "u"})
    remark = {"question": question["id"], "note": "", "flag": "", "request": "n"}
    client.post("/api/remarks", remark)
    client.post("/api/decisions", vote_on(question["id"], "b"))
    assert flags(site.store) == [""]
    assert len(votes(site.store)) == 1


def test_nothing_before_the_vote_says_where_a_response_came_from(make_site: MakeSite) -> None:
    secret = "zebra-7b-instruct"
    item = Item(
        "Who?", "One.", "Two.", source=secret, name=f"{secret}-1", tags=(secret,), margin=3.25
    )
    site = make_site([item])
    client = site.client()
    answers = [client.ask("GET", path) for path in ("/", "/static/label.js", "/health", "/nothing")]
    answers.append(client.post("/api/questions", {"have": []}))
    assert answers[-1].json["questions"]
    for answer in answers:
        said = f"{answer.headers} {answer.body.decode()}"
        assert secret not in said
        assert "3.25" not in said


def test_a_repeat_and_a_gold_pair_look_like_any_other(make_site: MakeSite) -> None:
    items = [Item("Plain?", "One.", "Two."), Item("Known?", "Good.", "Bad.", gold="first")]
    site = make_site(items, gold_share=0.5)
    client = site.client()
    found = client.post("/api/questions", {"have": []}).json["questions"]
    assert len({frozenset(question) for question in found}) == 1
    assert not {"gold", "purpose", "item", "source"} & {key for one in found for key in one}


def test_guidelines_come_up_once_and_again_when_they_change(
    make_site: MakeSite, window: OpenWindow
) -> None:
    site = make_site(2, guidelines="Prefer **short** answers.")
    shown = window(site)
    dialog = shown.page.locator("#guidelines")
    expect(dialog).to_contain_text("Prefer short answers.")
    shown.page.get_by_role("button", name="Close").click()
    shown.page.reload()
    expect(dialog).to_be_hidden()
    site.store.set_guidelines("Prefer long answers.")
    shown.page.reload()
    expect(dialog).to_contain_text("Prefer long answers.")


def test_a_vote_waits_while_nobody_is_signed_in(make_site: MakeSite, window: OpenWindow) -> None:
    site = make_site(3)
    shown = window(site)
    shown.page.context.clear_cookies()
    shown.press("2")
    expect(shown.page.get_by_role("alert")).to_contain_text("open the link")
    assert votes(site.store) == []
    shown.page.goto(site.desk.link(site.annotator()))
    expect(shown.page.locator("#count")).to_have_text("1 of 3 votes")
    assert [vote.decision.choice for vote in votes(site.store) if vote.decision] == ["right"]


def test_a_vote_that_comes_when_others_have_the_place_is_kept_and_told(make_site: MakeSite) -> None:
    site = make_site(1, lease_seconds=0.05)
    slow, quick = site.client("ann"), site.client("ben")
    vote = {"choice": "left", "latency_ms": 9, "have": []}
    [mine] = slow.post("/api/questions", {"have": []}).json["questions"]
    time.sleep(0.1)
    [theirs] = quick.post("/api/questions", {"have": []}).json["questions"]
    first = quick.post("/api/decisions", {**vote, "question": theirs["id"], "request": "a"})
    late = slow.post("/api/decisions", {**vote, "question": mine["id"], "request": "b"})
    assert (first.json["message"], late.json["message"]) == ("", api.LATE)
    assert late.json["standing"]["done"] == 1
    assert len(votes(site.store)) == 2


def test_the_words_that_only_one_response_has_are_marked(
    make_site: MakeSite, window: OpenWindow
) -> None:
    pair = ("The cat sat  on the mat.", "The cat lay on the\nred mat!")
    shown = window(make_site([Item("Which?", *pair)]))
    shown.press("d")
    marked = {
        side: shown.page.locator(f"#{side}-text mark").all_text_contents()
        for side in ("left", "right")
    }
    assert sorted(map(tuple, marked.values())) == [("lay", "red", "!"), ("sat", ".")]
    texts = {shown.page.text_content(f"#{side}-text") for side in ("left", "right")}
    assert texts == set(pair)
    shown.press("d")
    expect(shown.page.locator("mark")).to_have_count(0)
