"""Hostile texts in every field of a run, in a real browser; and what axe-core says of the page."""

import json
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.web.conftest import Window
from tests.web.payloads import PAYLOADS
from tests.web.test_accessibility import PHONE, WIDE, serious
from tests.web.test_xss import STRANGERS
from tests.web.watch.conftest import OpenWatch, RunOnDisk, Watched

# Charts and samples of lines are svg of our own; nothing else is.
FOREIGN = STRANGERS.replace("svg, ", "svg:not(.plot > svg, .legend svg, .run-head > svg), ")


def assert_nothing_happened(shown: Window) -> None:
    shown.page.wait_for_timeout(50)
    assert (shown.dialogs, shown.outbound, shown.complaints) == ([], [], [])
    found = shown.page.eval_on_selector_all(FOREIGN, "all => all.map(one => one.outerHTML)")
    assert found == []


def fill(run: RunOnDisk, texts: list[str]) -> None:
    """Every text as the name of a metric, in samples, in findings, as a stage, as an arm."""
    run.log({"step": 1, "loss": 1.0, **{text[:80]: 0.5 for text in texts}})
    run.beat(1, 10)
    for text in texts:
        run.sample(1, text, f"policy {text}", f"reference {text}")
    found = [{"name": text, "level": "sick", "step": 1, "words": text} for text in texts]
    lines = "".join(json.dumps(one) + "\n" for one in found)
    (run.path / "findings.jsonl").write_text(lines, encoding="utf-8")


def test_texts_of_runs_do_nothing(watched: Watched, watch_window: OpenWatch) -> None:
    assert len(PAYLOADS) >= 60
    # A payload with strokes is a path: the page calls a run by the folders that lead to it.
    names = [text for text in PAYLOADS if 1 <= len(text.split("/")) <= 3 and all(text.split("/"))]
    assert len(names) >= 45
    first = min(names, key=lambda name: name.split("/"))  # the first ones are drawn unasked
    for number, name in enumerate(names):
        run = watched.run(name, stage=PAYLOADS[number])
        fill(run, PAYLOADS[:50] if name == first else [name])
    arms = {text: {"label": text, "gold_reward": None} for text in PAYLOADS[:40]}
    content = {"arms": arms, "verdict": {"sentence": PAYLOADS[0]}}
    (watched.root / "results.json").write_text(json.dumps(content), encoding="utf-8")
    shown = watch_window(watched)
    page = shown.page
    expect(page.locator("#runs li")).to_have_count(len(names))
    expect(page.locator("#samples-rows article")).not_to_have_count(0)
    expect(page.locator("figure").nth(20)).to_be_visible()
    expect(page.locator("#comparisons tbody tr")).to_have_count(40)
    assert page.locator("#findings-list li").count() >= 50
    assert_nothing_happened(shown)
    for number in (1, 2):
        page.locator("#samples-run").select_option(index=number)
        expect(page.locator("#samples-rows article")).to_have_count(1)
    page.locator(".plot").first.hover()
    page.get_by_role("button", name="Stop").first.click()
    expect(page.locator("#stop-run")).to_be_visible()
    assert_nothing_happened(shown)


def test_the_test_would_notice(watched: Watched, watch_window: OpenWatch) -> None:
    shown = watch_window(watched)
    payload = "<svg onload=alert(1)>"
    shown.page.evaluate("it => { document.getElementById('none').innerHTML = it }", payload)
    with pytest.raises(AssertionError):
        assert_nothing_happened(shown)


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(WIDE, "light", id="wide-light"),
        pytest.param(PHONE, "dark", id="phone-dark"),
        pytest.param(WIDE, "dark", id="wide-dark", marks=pytest.mark.slow),
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.slow),
    ],
)
def test_no_serious_finding_of_axe(
    watched: Watched, watch_window: OpenWatch, size: dict[str, Any], scheme: str
) -> None:
    for number, state in enumerate(["training", "stopped", "ending", "training"] * 2):
        run = watched.run(f"run-{number}")
        run.log(*({"step": n, "loss": number + 1 / n, "eval_loss": 1.0} for n in range(1, 9)))
        run.beat(4, 10, state)
        if number < 2:
            run.sample(4, "What?", "words " * 300, "others " * 300)
            level = ("warning", "note")[number]
            line = {"name": "length-drift", "level": level, "step": 4, "words": "longer and longer"}
            (run.path / "findings.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    arms = {"dpo": {"gold_reward": {"value": 0.1, "low": 0.0, "high": 0.2}}}
    content = {"arms": arms, "verdict": {"sentence": "DPO is better here."}}
    (watched.root / "results.json").write_text(json.dumps(content), encoding="utf-8")
    shown = watch_window(watched, color_scheme=scheme, reduced_motion="reduce", **size)
    page = shown.page
    expect(page.locator("#samples-rows article")).not_to_have_count(0)
    page.locator("#smoothing").fill("0.5")
    page.locator(".plot").first.focus()
    page.keyboard.press("Home")
    found = {"page": serious(page)}
    page.get_by_role("button", name="Stop").first.click()
    found["dialog"] = serious(page)
    assert found == {"page": [], "dialog": []}
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= size["viewport"]["width"]
    assert not shown.complaints
