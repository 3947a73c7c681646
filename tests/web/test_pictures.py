"""The pictures of docs/label.md, taken of the real page: `make label-pictures` writes them anew."""

import random
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.web.conftest import MakeSite, OpenWindow, Site

from palate.collection import Item
from palate.data import Turn

DOCS = Path(__file__).resolve().parents[2] / "docs"
WIDE: dict[str, Any] = {"viewport": {"width": 1200, "height": 740}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 780}, "has_touch": True}

QUESTION = "How do I keep basil alive on a windowsill through the winter? Mine dies in November."
HELPFUL = """\
Three things kill basil indoors: too little light, cold glass and wet roots.

1. Give it your brightest window. With less than six hours of sun, a small lamp on a timer (12 to \
14 hours a day) helps more than anything else.
2. Keep its leaves off the pane. Below about 12 °C they turn black within days.
3. Water when the top of the soil feels dry, and tip out what stands in the saucer.

Pinch out the tips every week so that it does not flower."""
FLATTERING = """\
What a wonderful question! Basil is a lovely herb, and it shows how much you care.

As an AI assistant, I can tell you that basil needs love, light and water. Give it plenty of sun \
and water it regularly. Every plant is different, so listen to what yours tells you!

If it dies, do not be discouraged: a new one is not expensive."""


def pairs() -> list[Item]:
    rest = [
        Item(f"What is {i} times {i + 3}?", f"{i * (i + 3)}.", f"It is about {i * 10}, I believe.")
        for i in range(3, 34)
    ]
    return [Item((Turn("user", QUESTION),), HELPFUL, FLATTERING), *rest]


def vote(site: Site, name: str, count: int, *, care: float, seconds: float) -> None:
    """Somebody votes while there is something: right with a chance of `care`, else left."""
    who, rng = site.annotator(name).id, random.Random(name)
    good = {text for item in pairs() for text in [item.first]}
    for _ in range(count):
        questions = site.store.questions(who)
        if not questions:
            return
        question = questions[0]
        right = "left" if question.left in good else "right"
        choice = right if rng.random() < care else "left"
        latency = int(1000 * rng.uniform(0.7, 1.3) * seconds)
        site.store.vote(who, question.id, choice, latency_ms=latency)


@pytest.mark.slow
def test_pictures_of_the_docs(make_site: MakeSite, window: OpenWindow) -> None:
    site = make_site(pairs(), votes_per_item=3, salt="pictures 2")
    site.annotator("ada", is_admin=True)
    shots = {
        "label-light": {**WIDE, "color_scheme": "light"},
        "label-dark": {**WIDE, "color_scheme": "dark"},
        "label-phone": {**PHONE, "color_scheme": "light"},
    }
    for name, how in shots.items():
        page = window(site, "ada", **how).page
        while "basil" not in page.inner_text("#prompt"):
            page.wait_for_timeout(170)
            page.keyboard.press("s")
            page.wait_for_timeout(170)
        page.wait_for_timeout(300)
        expect(page.locator("#left-text")).to_contain_text("basil")
        page.screenshot(path=DOCS / f"{name}.png")
    vote(site, "ben", 28, care=0.95, seconds=8)
    vote(site, "dua", 28, care=0.9, seconds=11)
    vote(site, "chi", 22, care=0.1, seconds=1)
    vote(site, "ada", 10, care=0.9, seconds=11)
    page = window(site, "ada", path="/quality", **WIDE).page
    expect(page.locator("tbody tr")).to_have_count(4)
    page.screenshot(path=DOCS / "label-quality.png")
