"""axe-core finds nothing serious on any page, in light and dark, wide and narrow."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from tests.web.conftest import MakeSite, OpenWindow

from palate.collection import Item

WIDE = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
LONG = Item("Read this.\n" * 40 + "What?", "I am ChatGPT.\n" * 80, "Another answer.\n" * 90)


def serious(page: Page) -> list[str]:
    """Findings of axe-core that are serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(WIDE, "light", id="wide-light"),
        pytest.param(PHONE, "dark", id="phone-dark"),
        pytest.param(WIDE, "dark", id="wide-dark", marks=pytest.mark.slow),
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.slow),
    ],
)
def test_no_serious_finding(
    make_site: MakeSite, window: OpenWindow, size: dict[str, Any], scheme: str
) -> None:
    site = make_site(
        [LONG], votes_per_item=2, guidelines="Read.\n\n- `code` and [a link](https://example.org)"
    )
    ben = site.annotator("ben").id
    [question] = site.store.questions(ben)
    site.store.vote(ben, question.id, "right", latency_ms=300)
    shown = window(
        site, "boss", is_admin=True, color_scheme=scheme, reduced_motion="reduce", **size
    )
    page = shown.page
    page.keyboard.press("g")
    found = {"pair": serious(page)}
    page.keyboard.press("d")
    found["marked"] = serious(page)
    page.keyboard.press("p")
    found["whole"] = serious(page)
    page.keyboard.press("p")
    for key, name in (("?", "help"), ("g", "guidelines"), ("n", "note")):
        page.keyboard.press(key)
        expect(page.locator(f"#{name}")).to_be_visible()
        found[name] = serious(page)
        page.keyboard.press("Escape")
        expect(page.locator(f"#{name}")).to_be_hidden()
    shown.press("1")
    expect(page.locator("#finished")).to_be_visible()
    found["finished"] = serious(page)
    for name in ("quality", "disagreements", "nothing-here"):
        page.goto(f"{site.address}/{name}")
        found[name] = serious(page)
    assert {name: findings for name, findings in found.items() if findings} == {}


def test_the_test_would_notice(make_site: MakeSite, window: OpenWindow) -> None:
    page = window(make_site(1)).page
    page.evaluate("document.getElementById('vote-tie').replaceChildren()")
    assert any("vote-tie" in finding for finding in serious(page))


def test_everything_can_be_done_and_seen_without_a_mouse(
    make_site: MakeSite, window: OpenWindow
) -> None:
    shown = window(make_site([LONG]))
    reached = []
    for _ in range(18):
        shown.page.keyboard.press("Tab")
        reached.append(
            shown.page.evaluate(
                """() => {
                  const one = document.activeElement;
                  const outline = getComputedStyle(one);
                  return [one.id || one.dataset.action || one.textContent.trim(),
                          outline.outlineStyle !== "none" && parseFloat(outline.outlineWidth) >= 2];
                }"""
            )
        )
    names = [name for name, _ in reached]
    assert {
        *("prompt", "left-text", "right-text", "vote-left", "vote-tie", "vote-both", "vote-right"),
        *("whole", "skip", "note-button", "differences", "guidelines", "help"),
    } <= set(names)
    assert all(is_seen for name, is_seen in reached if name in ("vote-left", "skip", "left-text"))


def test_long_responses_scroll_in_step(make_site: MakeSite, window: OpenWindow) -> None:
    page = window(make_site([LONG]), **WIDE).page
    shares = """() => ["left-text", "right-text"].map((id) => {
      const pane = document.getElementById(id);
      return pane.scrollTop / (pane.scrollHeight - pane.clientHeight);
    })"""
    page.keyboard.press("PageDown")
    page.wait_for_timeout(200)
    left, right = page.evaluate(shares)
    assert 0 < left < 1
    assert left == pytest.approx(right, abs=0.01)
    page.locator("#right-text").evaluate("pane => { pane.scrollTop = pane.scrollHeight }")
    page.wait_for_timeout(200)
    assert page.evaluate(shares) == pytest.approx([1, 1], abs=0.01)


def test_a_phone_shows_one_column_and_nothing_beside_it(
    make_site: MakeSite, window: OpenWindow
) -> None:
    page = window(make_site([LONG]), **PHONE).page
    left, right = (page.locator(f"#{side}").bounding_box() for side in ("left", "right"))
    assert left is not None
    assert right is not None
    assert left["x"] == right["x"]
    assert right["y"] >= left["y"] + left["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
