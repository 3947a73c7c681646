"""The cache gives the trees that tokenizing gives, and nothing that is stale, torn or foreign."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests import tiny

from palate.data import render, token_cache
from palate.data.grow import comparison_trees, preference_trees
from palate.data.records import Demonstration, Preference
from palate.data.render import Renderer
from palate.data.token_cache import MappedTrees, cached_trees
from palate.data.trees import Tree
from palate.errors import DataError

PAIRS = [
    Preference("w1 w2", "w3", "w4 w5", 2.0, -0.5, "a.jsonl:1"),
    Preference("w2", "w3 w3 w3 w3 w3 w3 w3 w3 w3", "w4", origin="é:2"),
    Preference("w2 w2", "w6", "w7"),
]
LABELLED = [
    Demonstration("w4", "w5", 1.0, "b:1", True),
    Demonstration("w4", "w6", desirable=False),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder, in which every row is worth a file."""
    monkeypatch.setattr(token_cache, "MIN_ROWS", 1)
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path))
    return tmp_path / "tokens"


@pytest.fixture
def renderer() -> Renderer:
    return Renderer(tiny.tokenizer())


def cached(
    records: Sequence[Preference | Demonstration], renderer: Renderer, length: int = 64
) -> tuple[Sequence[Tree], int]:
    return cached_trees(comparison_trees, records, renderer, max_length=length, overlong="drop")


@pytest.mark.parametrize("records", [PAIRS, LABELLED])
def test_trees_from_the_file_are_the_trees_that_were_made(
    folder: Path, renderer: Renderer, records: list[Preference | Demonstration]
) -> None:
    made, num_dropped = comparison_trees(records, renderer, max_length=8, overlong="drop")
    for _ in range(2):  # written, then found
        found, dropped = cached(records, renderer, 8)
        assert isinstance(found, MappedTrees)
        assert (list(found), dropped) == (made, num_dropped)
        assert (found[-1], found[1:], len(found)) == (made[-1], made[1:], len(made))
    with pytest.raises(IndexError):
        _ = found[len(made)]
    (file,) = folder.iterdir()
    assert file.suffix == ".tokens"


def test_what_is_found_is_not_made_again(folder: Path, renderer: Renderer) -> None:
    first, _ = cached(PAIRS, renderer)

    def refuse(*_: object, **__: object) -> tuple[list[Tree], int]:
        raise AssertionError("tokenized again")

    refuse.__name__ = comparison_trees.__name__
    again, _ = cached_trees(refuse, PAIRS, renderer, max_length=64, overlong="drop")
    assert list(again) == list(first)


def test_whatever_decides_the_tokens_names_the_file(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(PAIRS, renderer)
    cached(PAIRS, renderer, 63)
    cached(PAIRS[:2], renderer)
    cached_trees(preference_trees, PAIRS, renderer, max_length=64, overlong="drop")
    larger = tiny.tokenizer(vocab=40)
    cached(PAIRS, Renderer(larger))
    larger.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    cached(PAIRS, Renderer(larger))
    assert len(list(folder.iterdir())) == 6
    monkeypatch.setattr(render, "__file__", __file__)  # other code
    cached(PAIRS, renderer)
    assert len(list(folder.iterdir())) == 7


@pytest.mark.parametrize("damage", ["cut", "changed", "foreign", "head", "renamed"])
def test_a_file_that_cannot_be_trusted_is_made_anew_and_told(
    folder: Path, renderer: Renderer, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    made, _ = cached(PAIRS, renderer)
    expected = list(made)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    cached(PAIRS[:1], renderer)
    (other,) = set(folder.iterdir()) - {file}
    broken = {
        "cut": whole[:-40],
        "changed": whole[:-60] + bytes([whole[-60] ^ 1]) + whole[-59:],
        "foreign": b"something else\n" * 9,
        "head": whole.replace(b'"num_dropped"', b'"num_droppeX"'),
        "renamed": other.read_bytes(),
    }[damage]
    file.unlink()
    file.write_bytes(broken)
    with caplog.at_level(logging.INFO, logger="palate"):
        again, _ = cached(PAIRS, renderer)
    assert list(again) == expected
    assert f"{file} is not used" in caplog.text
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_gone_without(
    folder: Path, renderer: Renderer, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.INFO, logger="palate"):
        found, _ = cached(PAIRS, renderer)
    assert found == comparison_trees(PAIRS, renderer, max_length=64)[0]
    assert "tokens are not cached" in caplog.text


def test_refused_rows_are_refused_and_few_rows_are_not_cached(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="longer than max_length"):
        cached_trees(comparison_trees, PAIRS, renderer, max_length=4, overlong="refuse")
    monkeypatch.setattr(token_cache, "MIN_ROWS", len(PAIRS) + 1)
    found, _ = cached(PAIRS, renderer)
    assert isinstance(found, list)
    assert not folder.exists()
