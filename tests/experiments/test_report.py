import copy
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from palate.errors import DataError, UsageError
from palate.experiments import report
from palate.experiments.report import render_report, write_report

Build = Callable[..., dict[str, Any]]


class Page(HTMLParser):
    """What a browser would find in the file."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def html(example_results: Build) -> str:
    return render_report(example_results(num_samples=12))


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("frontier_figure", "pipeline_figure", "over_optimization_figure"):
        monkeypatch.setattr(report, name, lambda results: "<svg></svg>")


def test_needs_no_network_and_no_script(html: str) -> None:
    page = Page(html)
    assert not re.search(r"(?:https?:|//[a-z]|@import|url\((?!#))", html, flags=re.IGNORECASE)
    assert not {"script", "link", "iframe", "img", "object", "form", "base"} & set(page.tags)
    policies = [value for name, value in page.attributes if name == "content"]
    assert any(v.startswith("default-src 'none'; style-src 'unsafe-inline';") for v in policies)


def test_reads_well_without_eyes(html: str) -> None:
    page = Page(html)
    assert ("lang", "en") in page.attributes
    assert page.tags.count("caption") == page.tags.count("table") >= 5
    assert page.tags.count("h1") == page.tags.count("main") == 1
    names = [value for name, value in page.attributes if name == "aria-label"]
    assert any("Gold reward against KL" in name and "SFT 0.180" in name for name in names)
    assert page.tags.count("svg") == 3


def test_every_identifier_is_unique_and_every_link_arrives(html: str) -> None:
    page = Page(html)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for name, value in page.attributes if name == "href"}
    assert targets <= set(ids)


def test_verdict_and_figures_stand_as_given(html: str, example_results: Build) -> None:
    words = Page(html).words()
    results = example_results()
    assert results["verdict"]["sentence"] in words
    for reason in results["verdict"]["because"]:
        assert reason in words
    assert "0.830 0.769 to 0.891 n = 240" in words  # DPO β = 0.1
    assert "57.1 % 53.0 to 61.2 % n = 240" in words  # head to head
    assert "+0.152 +0.088 to +0.216 n = 240" in words
    assert "RLHF minus DPO is +0.094 (+0.033 to +0.155, n = 240) in gold reward" in words
    assert "78.4 % 76.3 to 80.5 % n = 600" in words
    assert "PPO β = 0.05 is better" in words
    assert "3 min 34 s shared: 2 min 51 s 133 TFLOP shared: 107 TFLOP" in words
    assert words.count("chosen") >= 4  # a word, not only a color


def test_whatever_a_model_or_a_file_says_is_inert(
    example_results: Build, payloads: tuple[str, ...]
) -> None:
    payload = " ".join(payloads)
    results = example_results(num_samples=1)
    results["title"] = results["unit_gold"] = payload
    results["verdict"] = dict.fromkeys(("choice", "confidence", "sentence"), payload)
    results["verdict"]["because"] = [payload]
    results["over_optimization"]["sentence"] = payload
    results["environment"] = {payload: payload, "nested": {payload: [payload]}}
    results["samples"][0]["prompt"] = payload
    for response in results["samples"][0]["responses"].values():
        response["text"] = payload
    for row in results["pipeline"]:
        row["label"] = payload
    for one in results["arms"].values():
        one["label"] = payload
        one["settings"] = {payload: payload}
        one["per_seed"][0]["seed"] = payload
    results["arms"][payload] = copy.deepcopy(results["arms"]["dpo-0.5"])
    results["head_to_head"][0]["a"] = payload
    html = render_report(results)
    page = Page(html)
    assert not {"script", "iframe", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "srcdoc"]
    assert not [value for name, value in page.attributes if name == "href" and value[0] != "#"]
    assert not re.search("[\x00\x1b\x07\ud800]", html)
    assert "49" not in html.split("Samples side by side")[1].split("How it was measured")[0]
    assert payloads[0] in page.words()  # shown as written


def test_null_is_not_measured_and_never_zero(example_results: Build) -> None:
    results = example_results(num_samples=1)
    for one in results["arms"].values():
        for key in ("gold_reward", "proxy_reward", "kl", "kl_k1", "kl_k3", "win_rate_vs_sft"):
            one[key] = None
        one["length"] = one["eos_rate"] = None
        one["per_seed"] = []
        one["cost"] = {}
    for response in results["samples"][0]["responses"].values():
        response["gold"] = response["proxy"] = None
    for key in ("matched", "reward_model", "over_optimization"):
        results[key] = None
    results["matched_reason"] = "RLHF never went as far as 1 nat."
    results["head_to_head"], results["pipeline"] = [], []
    html = render_report(results)
    words = Page(html).words()
    tables = words.split("All arms")[1].split("How it was measured")[0]
    assert tables.count("not measured") > 9 * 10
    assert not re.search(r"\b0(?:\.0+)? ?(?:%|s|FLOP|B|MB|tokens)(?!\w)", tables)
    assert not re.search(r"\b(?:None|nan|null)\b", words)
    assert "RLHF never went as far as 1 nat." in words
    assert "best gold" not in words


@pytest.mark.usefixtures("no_figures")
def test_500_prompts_fit_into_5_megabytes(tmp_path: Path, example_results: Build) -> None:
    results = example_results(num_samples=510)
    for sample in results["samples"]:
        sample["prompt"] = "<&\"'>é" * 300
        for response in sample["responses"].values():
            response["text"] = "<&\"'>é" * 500
    write_report(results, tmp_path / "report.html")
    written = (tmp_path / "report.html").read_bytes()
    assert 2_000_000 < len(written) < 4_900_000
    assert b"500 of 510 prompts are shown" in written
    assert b"more characters are in results.json" in written
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.usefixtures("no_figures")
def test_best_sample_is_marked_in_words_and_whitespace_is_kept(example_results: Build) -> None:
    results = example_results(num_samples=1)
    responses = results["samples"][0]["responses"]
    responses["sft"].update(gold=0.1, text="two  spaces\n\n\tand a tab", stopped=False)
    responses["dpo-0.1"].update(gold=0.9)
    responses["ppo-0.05"].update(gold=0.4)
    html = render_report(results)
    assert html.count("best gold") == 1
    assert "two  spaces\n\n\tand a tab" in html
    assert html.count("cut at the length limit") == 1
    assert "the RLHF sample has more gold 0 times, the DPO sample 1 times" in Page(html).words()
    responses["ppo-0.05"].update(gold=0.9)
    assert render_report(results).count("tied for best gold") == 2


@pytest.mark.usefixtures("no_figures")
def test_one_road_alone_has_no_verdict(example_results: Build) -> None:
    results = example_results()
    arms = {name: arm for name, arm in results["arms"].items() if arm["road"] != "dpo"}
    words = Page(render_report({**results, "arms": arms, "verdict": None})).words()
    assert "No verdict: there is no DPO arm" in words
    assert "Choice:" not in words


@pytest.mark.usefixtures("no_figures")
def test_what_is_not_known_of_an_arm_is_told(example_results: Build) -> None:
    words = Page(render_report({**example_results(), "notes": ["arm x: <b>unknown</b>"]})).words()
    assert "Note: arm x: <b>unknown</b>" in words


@pytest.mark.usefixtures("no_figures")
def test_without_gold_everything_is_called_by_the_proxy(example_results: Build) -> None:
    results = {**example_results(num_samples=1), "unit_gold": "proxy reward"}
    for one in results["arms"].values():
        one["gold_reward"] = None
    for name, response in results["samples"][0]["responses"].items():
        response.update(gold=None, proxy=1.0 if name == "sft" else 0.5)
    words = Page(render_report(results)).words()
    assert "Up is better, by proxy reward" in words
    assert "Proxy reward 1.079 0.999 to 1.159" in words  # the DPO arm at a glance
    assert "Proxy reward, A minus B" in words
    assert "SFT best proxy" in words
    assert "best gold" not in words


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(("seeds", "covers"), [([0, 1], "prompts alone"), ([0, 1, 2], "seeds")])
def test_says_what_an_interval_covers(
    seeds: list[int], covers: str, example_results: Build
) -> None:
    results = {**example_results(), "seeds": seeds}
    sentence = Page(render_report(results)).words().split("An interval covers ")[1].split(".")[0]
    assert covers in sentence


@pytest.mark.parametrize(
    ("change", "message"),
    [({"schema": 2}, "schema is 2"), ({"arms": {}}, "'arms'")],
)
def test_results_that_cannot_be_reported_are_refused(
    change: dict[str, Any], message: str, example_results: Build
) -> None:
    with pytest.raises(DataError, match=message):
        render_report({**example_results(), **change})


@pytest.mark.usefixtures("no_figures")
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, example_results: Build) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        write_report(example_results(), tmp_path / "nowhere" / "report.html")
