"""A prompt that is longer than its place, and guidelines with a heading, in a real browser."""

import re

from playwright.sync_api import expect
from tests.web.conftest import MakeSite, OpenWindow

from palate.collection import Item

WIDE = {"viewport": {"width": 1280, "height": 800}}


def test_a_long_prompt_says_that_there_is_more_and_shows_all_of_it(
    make_site: MakeSite, window: OpenWindow
) -> None:
    long = Item("The first line.\n" + "More of it.\n" * 60 + "The question?", "One.", "Two.")
    short = Item("Short?", "One.", "Two.")
    page = (shown := window(make_site([long, short]), **WIDE)).page
    whole, prompt = page.locator("#whole"), page.locator("#prompt")
    seen = set()
    for _ in range(2):
        expect(page.locator("#question")).to_be_visible()
        if shown.prompt == "Short?":
            expect(whole).to_be_hidden()
            shown.press("p")
            expect(page.locator("body")).not_to_have_class(re.compile("whole"))
        else:
            expect(whole).to_have_text(re.compile("More above: show the whole prompt"))
            expect(whole).to_have_attribute("aria-expanded", "false")
            prompt.evaluate("one => { one.scrollTop = 40 }")
            expect(whole).to_contain_text("More above and below")
            shown.press("p")
            expect(whole).to_have_attribute("aria-expanded", "true")
            assert prompt.evaluate("one => one.scrollHeight - one.clientHeight") <= 1
            assert page.evaluate("scrollY") == 0
            expect(page.locator("#vote-left")).to_be_in_viewport(ratio=1)
            whole.press("Enter")
            expect(whole).to_have_attribute("aria-expanded", "false")
            shown.press("p")
        seen.add(shown.prompt)
        before = page.inner_text("#count")
        shown.press("1")
        expect(page.locator("#count")).not_to_have_text(before)
    assert len(seen) == 2
    assert not shown.complaints


def test_guidelines_with_a_heading_show_one_title(make_site: MakeSite, window: OpenWindow) -> None:
    page = window(make_site(1, guidelines="# Guidelines\n\nBe strict.")).page
    expect(page.locator("#guidelines")).to_be_visible()
    assert page.get_by_role("heading", name="Guidelines").count() == 1
    expect(page.get_by_role("dialog", name="Guidelines")).to_contain_text("Be strict.")
