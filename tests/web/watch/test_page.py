"""The watching page in a real browser: curves as they grow, reading them, stopping, trouble."""

import math
import threading
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.training.runs import At, in_folder, settings_of, start
from tests.web.conftest import Window
from tests.web.watch.conftest import OpenWatch, Watched

from palate.errors import Interrupted
from palate.training.checkpoint import latest_checkpoint
from palate.training.folder import RunFolder


def rows(first: int, last: int, **metrics: float) -> list[dict[str, Any]]:
    return [
        {"step": n, "loss": 0.7 / n, "rewards/margins": n / 10, **metrics}
        for n in range(first, last + 1)
    ]


def chart(page: Page, title: str) -> Any:
    return page.locator("figure", has=page.get_by_role("heading", name=title, exact=True))


def test_curves_appear_and_grow_within_two_seconds(
    watched: Watched, watch_window: OpenWatch
) -> None:
    shown = watch_window(watched)
    expect(shown.page.locator("#none")).to_be_visible()
    run = watched.run("first")
    run.log(*rows(1, 3))
    run.beat(3, 10)
    loss = chart(shown.page, "Loss")
    expect(loss.locator(".legend-value")).to_have_text("0.2333 at 3")
    expect(shown.page.locator(".run-words")).to_have_text("step 3 of 10 · about 14 s left")
    run.write('{"step": 4, "lo')  # a trainer in the middle of a line
    shown.page.wait_for_timeout(1200)
    expect(loss.locator(".legend-value")).to_have_text("0.2333 at 3")
    run.write('ss": 0.0625}\n')
    expect(loss.locator(".legend-value")).to_have_text("0.0625 at 4", timeout=2_000)
    watched.run("second", "sft").log(*rows(1, 8))
    expect(loss.locator(".legend li")).to_have_count(2)
    assert not shown.complaints


def test_smoothing_scale_and_reading_by_keyboard(watched: Watched, watch_window: OpenWatch) -> None:
    run = watched.run("run")
    run.log(*({"step": n, "loss": 2.0 + math.sin(n), "grad_norm": n - 5.0} for n in range(1, 41)))
    shown = watch_window(watched)
    page = shown.page
    loss = chart(page, "Loss")
    expect(loss.locator("path.line")).to_have_count(2)  # the curve, and its sample in the legend
    page.locator("#smoothing").fill("1")
    expect(page.locator("#smoothing-value")).to_have_text("0.999")
    expect(loss.locator("path.faint")).to_have_count(1)
    expect(loss.locator("path.smooth")).to_have_count(1)
    raw = "() => document.querySelector('path.faint').getBBox().height"
    smooth = "() => document.querySelector('path.smooth').getBBox().height"
    assert page.evaluate(smooth) < 0.7 * page.evaluate(raw)

    page.get_by_label("Logarithmic").check()
    expect(chart(page, "Gradient norm")).to_contain_text("linear: it has values of 0 or less")
    expect(loss).not_to_contain_text("linear")

    plot = loss.get_by_role("slider")
    plot.focus()
    for key, step in (
        ("ArrowLeft", 40),
        ("ArrowLeft", 39),
        ("Home", 1),
        ("PageUp", 5),
        ("End", 40),
    ):
        plot.press(key)
        value = f"{2.0 + math.sin(step):.4g}"
        expect(plot).to_have_attribute("aria-valuetext", f"step {step}: run loss {value} at {step}")
        expect(loss.locator(".legend-value")).to_have_text(f"{value} at {step}")
    assert loss.locator("path.cursor").count() == 1
    assert not shown.complaints


def test_smoothing_is_the_same_average_in_buckets_of_many_points(
    watched: Watched, watch_window: OpenWatch
) -> None:
    """On a constant per bucket, buckets of four points move it as four points would."""
    page = watch_window(watched).page
    found = page.evaluate(
        """async () => {
          const { smoothed } = await import("/static/curves.js");
          const values = [1, 5, 2, 2, 9, 0];
          const single = values.flatMap((value) => [value, value, value, value]);
          const short = smoothed({ count: values.map(() => 4), mean: values }, 0.9);
          const long = smoothed({ count: single.map(() => 1), mean: single }, 0.9);
          return [short, long.filter((_, n) => n % 4 === 3)];
        }"""
    )
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    average, share = 0.0, 0.0
    for value in [1, 5, 2, 2, 9, 0]:
        for _ in range(4):
            average, share = 0.9 * average + 0.1 * value, 0.9 * share + 0.1
    assert found[0][-1] == pytest.approx(average / share, rel=1e-9)


def test_the_button_saves_and_ends_a_real_run(watched: Watched, watch_window: OpenWatch) -> None:
    folder = RunFolder(watched.root / "run")
    ended: list[BaseException] = []

    def wait_for_request() -> None:
        until = time.monotonic() + 60
        while not folder.stop.exists() and time.monotonic() < until:
            time.sleep(0.02)

    def train() -> None:
        settings = settings_of("sft", max_steps=5, logging_steps=1)
        try:
            in_folder("sft", folder, settings, start("sft"), listeners=[At(2, wait_for_request)])
        except Interrupted as error:
            ended.append(error)

    training = threading.Thread(target=train, daemon=True)
    training.start()
    page = watch_window(watched).page
    page.get_by_role("button", name="Stop run").click(timeout=60_000)
    expect(page.locator("dialog")).to_contain_text("saves a checkpoint and ends")
    page.get_by_role("button", name="Let it run").click()
    assert not folder.stop.exists()
    page.get_by_role("button", name="Stop run").click()
    page.get_by_role("button", name="Save and stop").click()
    training.join(60)
    assert len(ended) == 1
    assert "interrupted after step 2; saved" in str(ended[0])
    assert latest_checkpoint(folder.checkpoints)[0].step == 2
    expect(page.locator(".state")).to_contain_text("stopped before its last step")
    expect(page.get_by_role("button", name="Stop run")).to_be_hidden()


def test_a_dead_trainer_and_a_dead_page(watched: Watched, watch_window: OpenWatch) -> None:
    run = watched.run("run")
    run.log(*rows(1, 4))
    run.beat(4, 10)
    shown = watch_window(watched)
    expect(chart(shown.page, "Loss")).to_be_visible()
    expect(shown.page.locator(".state")).to_contain_text("no heartbeat for", timeout=12_000)
    expect(shown.page.locator(".state")).to_contain_text("no trainer is at work")
    draft = run.path / "metrics.tmp"
    draft.write_text('{"step": 1, "loss": 0.5}\n')  # resumed from step 1
    draft.replace(run.path / "metrics.jsonl")
    expect(chart(shown.page, "Loss").locator(".legend-value")).to_have_text("0.5 at 1")
    expect(chart(shown.page, "Reward margin")).to_have_count(0)
    assert not shown.complaints
    watched.stop()
    expect(shown.page.locator("#trouble")).to_contain_text("Is palate watch still running?")
    expect(chart(shown.page, "Loss")).to_be_visible()


def test_samples_stand_beside_the_references(watched: Watched, watch_window: OpenWatch) -> None:
    run = watched.run("run")
    run.log(*rows(1, 2))
    run.sample(10, "What?", "ten", "the reference")
    run.sample(20, "What?", "twenty", "the reference")
    shown: Window = watch_window(watched)
    panes = shown.page.locator("#samples-rows .pane .said")
    expect(panes).to_have_text(["the reference", "twenty"])
    shown.page.get_by_label("After step").select_option("10")
    expect(panes).to_have_text(["the reference", "ten"])
    run.sample(30, "What?", "thirty", "the reference")
    shown.page.wait_for_timeout(1500)
    expect(panes).to_have_text(["the reference", "ten"])
    shown.page.get_by_label("After step").select_option("newest")
    expect(panes).to_have_text(["the reference", "thirty"])
