"""The larger part, run by `make watch-pages`: the pictures of docs/watch.md, and a long log."""

import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from tests.web.conftest import new_window
from tests.web.watch.conftest import OpenWatch, Watched

DOCS = Path(__file__).resolve().parents[3] / "docs"
WIDE: dict[str, Any] = {"viewport": {"width": 1200, "height": 1150}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 1150}, "has_touch": True}
QUESTION = "How do I keep basil alive on a windowsill through the winter?"
POLICY = "Give it your brightest window, keep its leaves off the cold pane, and water it when the top of the soil is dry."  # noqa: E501  one sentence
REFERENCE = "Basil is a lovely herb. It likes sun and water, and every plant is different."


def ppo_rows(seed: int, num_steps: int, *, kl_coef: float) -> list[dict[str, float]]:
    """A run as PPO runs look, for the picture: noise around curves that settle."""
    rng, rows = random.Random(seed), []
    for step in range(1, num_steps + 1):
        reached = 1 - math.exp(-step / 90)
        kl = 14 * reached * (0.05 / kl_coef) + rng.gauss(0, 0.5)
        row = {
            "objective/scores": 2.1 * reached - 0.6 + rng.gauss(0, 0.16),
            "objective/kl": max(kl, 0.01),
            "objective/entropy": 46 - 14 * reached + rng.gauss(0, 1.2),
            "length": 38 + 9 * reached + rng.gauss(0, 1.5),
            "eos_rate": min(1.0, 0.93 + 0.05 * reached + rng.gauss(0, 0.02)),
            "grad_norm": 0.5 + rng.expovariate(6),
        }
        rows.append({"step": step, **row})
        if step % 20 == 0:
            parted = max(0, step - 120) / 160 * (0.05 / kl_coef)
            gold = 1.2 * reached - 0.5 - parted + rng.gauss(0, 0.03)
            rows.append({"step": step, "eval_objective/gold": gold,
                         "eval_objective/scores": 2.1 * reached - 0.6})  # fmt: skip
    return rows


@pytest.mark.slow
def test_pictures_of_the_docs(watched: Watched, watch_window: OpenWatch) -> None:
    for number, (name, kl_coef) in enumerate((("ppo-kl-0.05", 0.05), ("ppo-kl-0.1", 0.1))):
        run = watched.run(name, "ppo")
        run.log(*ppo_rows(number, 240, kl_coef=kl_coef))
        run.beat(240, 400)
        run.sample(240, QUESTION, POLICY, REFERENCE)
    dpo = watched.run("dpo", "dpo")
    dpo.log(*({"step": n, "loss": 0.693 / (1 + n / 150)} for n in range(10, 300, 10)))
    (dpo.path / "model").mkdir()
    dpo.beat(300, 300, "ending")
    words = "the proxy reward rose from 1.31 to 1.42 while gold fell from 0.41 to 0.02"
    line = {"name": "reward-hacking", "level": "warning", "step": 240, "words": words}
    path = watched.root / "ppo-kl-0.05" / "findings.jsonl"
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    for name, how in {
        "watch-light": {**WIDE, "color_scheme": "light"},
        "watch-dark": {**WIDE, "color_scheme": "dark"},
        "watch-phone": {**PHONE, "color_scheme": "light"},
    }.items():
        for kl in ("0.05", "0.1"):
            watched_run = watched.root / f"ppo-kl-{kl}" / "progress.json"
            watched_run.touch()
        page = watch_window(watched, **how).page
        expect(page.locator("figure")).not_to_have_count(0)
        page.locator("#smoothing").fill("0.4")
        page.locator("#smoothing").blur()
        page.wait_for_timeout(300)
        page.screenshot(path=DOCS / f"{name}.png")


@pytest.mark.slow
def test_a_million_points_are_on_the_screen_within_a_second(
    chromium: Browser, tmp_path: Path
) -> None:
    new_window(chromium, "")[1].close()  # the browser's own start
    names = ["loss", "grad_norm", "learning_rate", "length", "logps/chosen", "logps/rejected"]
    names += [f"rewards/{name}" for name in ("chosen", "rejected", "margins", "accuracies")]
    rng = random.Random(0)
    rows = ({"step": n, **{name: rng.gauss(0, 1) for name in names}} for n in range(100_000))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "metrics.jsonl").write_text(lines, encoding="utf-8")
    command = [sys.executable, "-c", "from palate.cli.app import main; main()", "watch",
               str(tmp_path), "--port", "0", "--no-browser", "--json"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as server:
        assert server.stdout is not None
        link = json.loads(server.stdout.readline())["link"]
        shown, context = new_window(chromium, link.partition("/?")[0])
        before = time.monotonic()  # the file is not read yet
        shown.page.goto(link)
        expect(shown.page.locator("figure path.line").first).to_be_visible()
        seconds = time.monotonic() - before
        context.close()
        server.terminate()
    print(f"a million points are on the screen after {seconds:.2f} s")
    assert seconds < 1
