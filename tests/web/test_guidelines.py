"""Markdown of guidelines: structure stays, everything that acts is gone."""

from pathlib import Path

import pytest
from tests.web.payloads import PAYLOADS

from palate.errors import UsageError
from palate.web.guidelines import DEFAULT, MOST_CHARACTERS, read_guidelines, to_html, to_sheet


def test_structure_stays() -> None:
    html = to_html("# Rules\n\n- **short** over `long`\n\n| a | b |\n| - | - |\n| 1 | 2 |")
    for wanted in ("<h1>Rules</h1>", "<strong>short</strong>", "<code>long</code>", "<td>1</td>"):
        assert wanted in html


def test_the_heading_that_they_begin_with_is_their_title_and_shown_once() -> None:
    sheet = to_sheet("# How *we* judge\n\nBe strict.\n\n# And then\n\nMore.")
    assert sheet.title == "How <em>we</em> judge"
    assert "judge" not in sheet.body
    assert sheet.body.startswith("<p>Be strict.</p>")
    assert "<h1>And then</h1>" in sheet.body


def test_without_a_heading_in_front_they_are_called_guidelines() -> None:
    for markdown in ("Be strict.\n\n# Later", "## Second rank\n\nx"):
        sheet = to_sheet(markdown)
        assert (sheet.title, sheet.body) == ("Guidelines", to_html(markdown))


def test_links_lead_to_the_web_alone_and_say_nothing_of_where_from() -> None:
    html = to_html("[a](https://example.org) [b](javascript:alert(1)) [c](file:///etc/passwd)")
    assert html.count("href") == 1
    assert 'href="https://example.org"' in html
    assert "noreferrer" in html


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_that_acts_is_left(payload: str) -> None:
    html = to_html(f"{payload}\n\n- {payload}\n\n> {payload}").lower()
    for unwanted in (
        "<script",
        "<img",
        "<svg",
        "<iframe",
        "<style",
        "<meta",
        "<base",
        "<link",
        "<form",
    ):
        assert unwanted not in html
    assert 'href="javascript' not in html


def test_the_programs_own_words_are_plain_markdown() -> None:
    assert "<li><strong>Right before nice.</strong>" in to_html(DEFAULT)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"x" * (MOST_CHARACTERS + 1)])
def test_a_file_that_is_no_text_of_a_page_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rules.md"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="--guidelines"):
        read_guidelines(str(path))
