"""Hostile texts in every field, in a real browser: nothing runs, nothing leaves, all is shown."""

import pytest
from playwright.sync_api import Browser, Dialog, expect
from tests.web.conftest import MakeSite, OpenWindow, Window
from tests.web.payloads import PAYLOADS

from palate.collection import Item
from palate.collection.store import Store

# Of a page of ours, these come from no template.
STRANGERS = (
    "img, svg, math, iframe, object, embed, video, audio, form:not(#invite), style, base, marquee,"
    "script:not([src^='/static/']), link:not([href^='/static/']):not([href='data:,']),"
    "[onerror], [onload], [onfocus], [onmouseover], [style], [srcdoc]"
)


def assert_nothing_happened(shown: Window) -> None:
    shown.page.wait_for_timeout(50)
    assert (shown.dialogs, shown.outbound, shown.complaints) == ([], [], [])
    found = shown.page.eval_on_selector_all(STRANGERS, "all => all.map(one => one.outerHTML)")
    assert found == []


def items_of(shift: int) -> list[Item]:
    """Three payloads an item; a shift brings each into another field."""
    assert len(PAYLOADS) >= 60
    turned = [PAYLOADS[(i // 3) * 3 + (i + shift) % 3] for i in range(len(PAYLOADS) // 3 * 3)]
    texts = [f"{text} {i}" for i, text in enumerate(turned)]
    return [
        Item(
            texts[i],
            texts[i + 1],
            texts[i + 2],
            source=texts[i],
            name=texts[i + 1],
            tags=(texts[i],),
        )
        for i in range(0, len(texts), 3)
    ]


def vote_through(make_site: MakeSite, window: OpenWindow, shift: int) -> None:
    items = items_of(shift)
    site = make_site(items, guidelines="\n\n".join(PAYLOADS))
    shown = window(site)
    expect(shown.page.locator("#guidelines")).to_be_visible()
    assert_nothing_happened(shown)
    links = shown.page.eval_on_selector_all("#guidelines a", "all => all.map(one => one.href)")
    assert links
    assert all(link.startswith(("http://", "https://")) for link in links)
    shown.page.keyboard.press("g")
    seen = []
    for number in range(len(items)):
        # Three payloads have characters that the page may show otherwise, but not interpret.
        texts = [
            shown.page.text_content(f"#{name}") for name in ("prompt", "left-text", "right-text")
        ]
        seen.append(tuple(texts))
        if number % 10 == 0:
            assert_nothing_happened(shown)
            shown.page.keyboard.press("d")
            assert_nothing_happened(shown)
            shown.page.keyboard.press("d")
        shown.press("1")
        shown.page.wait_for_function(
            "n => document.getElementById('bar').value === n", arg=number + 1
        )
    expect(shown.page.locator("#finished")).to_be_visible()
    assert_nothing_happened(shown)
    told = {text for texts in seen for text in texts}
    assert told == {text for item in items for text in (item.prompt, item.first, item.second)}


def test_texts_of_pairs_and_guidelines_do_nothing(make_site: MakeSite, window: OpenWindow) -> None:
    vote_through(make_site, window, shift=0)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [1, 2])
def test_every_text_in_every_field_does_nothing(
    make_site: MakeSite, window: OpenWindow, shift: int
) -> None:
    vote_through(make_site, window, shift=shift)


def everybody_votes(store: Store) -> int:
    """Somebody of every name that is allowed votes, notes and flags with payloads."""
    names = [text for text in PAYLOADS if text.isprintable() and len(text) <= 100]
    for number, (name, words) in enumerate(zip(names, reversed(PAYLOADS), strict=False)):
        who = store.add_annotator(name)[0].id
        [question] = store.questions(who)
        store.note(who, question.id, words)
        store.flag(who, question.id, PAYLOADS[number])
        store.vote(who, question.id, ("left", "right", "tie")[number % 3], latency_ms=9000)
    return len(names)


def test_names_notes_flags_and_texts_do_nothing_on_an_admins_pages(
    make_site: MakeSite, window: OpenWindow
) -> None:
    items = items_of(0)
    site = make_site(items, votes_per_item=100)
    count = everybody_votes(site.store)
    assert count >= 60
    shown = window(site, "boss", is_admin=True, path="/quality")
    expect(shown.page.locator("tbody tr")).to_have_count(count)
    assert_nothing_happened(shown)
    shown.page.get_by_label("Name").fill("<img src=x onerror=alert(1)>")
    shown.page.get_by_role("button", name="Make a link").click()
    expect(shown.page.locator("#invited")).to_contain_text("<img src=x onerror=alert(1)>")
    assert_nothing_happened(shown)
    shown.page.goto(f"{site.address}/disagreements")
    expect(shown.page.locator(".ballots li")).to_have_count(count)
    assert_nothing_happened(shown)


def test_the_test_would_notice(make_site: MakeSite, window: OpenWindow) -> None:
    """The same window, with a text put in as HTML: the policy complains, an element appears."""
    shown = window(make_site(1))
    payload = "<img src=http://evil.example/ onerror=alert(1)>"
    shown.page.evaluate("it => { document.getElementById('prompt').innerHTML = it }", payload)
    with pytest.raises(AssertionError):
        assert_nothing_happened(shown)
    assert any("Content Security Policy" in text for text in shown.complaints)


def test_a_browser_without_the_policy_would_run_it(chromium: Browser) -> None:
    page = chromium.new_page()
    dialogs: list[str] = []

    def note_and_dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note_and_dismiss)
    page.set_content("".join(text for text in PAYLOADS if text.startswith("<img")))
    page.wait_for_timeout(100)
    page.close()
    assert "1" in dialogs
