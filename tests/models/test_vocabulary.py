"""Tokenizers are compared by what they say, token by token."""

from pathlib import Path

import pytest
from tests import tiny
from transformers import PreTrainedTokenizerFast

from palate.errors import ModelError
from palate.models.vocabulary import (
    first_difference,
    refuse_ids_beyond,
    refuse_other_tokens,
    tokenizer_in,
)


def swapped() -> PreTrainedTokenizerFast:
    """As many tokens as the tiny tokenizer, of which two have changed places."""
    words = ["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(3, tiny.VOCAB))]
    words[7], words[9] = words[9], words[7]
    return tiny.tokenizer_of(words)


def test_equal_tokenizers_differ_nowhere_whatever_they_pad_with() -> None:
    other = tiny.tokenizer()
    other.pad_token = "</s>"
    assert first_difference(tiny.tokenizer(), other) is None


def test_the_first_id_that_differs_is_named() -> None:
    assert first_difference(tiny.tokenizer(), swapped()) == (
        "id 7 is 'w9' there and 'w7' here, and 1 more ids differ"
    )
    assert first_difference(tiny.tokenizer(), tiny.tokenizer(tiny.VOCAB - 1)) == (
        "id 47 is no token there and 'w47' here"
    )


def test_special_tokens_count() -> None:
    other = tiny.tokenizer()
    other.eos_token = "w5"
    assert first_difference(tiny.tokenizer(), other) == (
        "eos_token_id is 'w5' there and '</s>' here"
    )


def test_a_model_of_other_tokens_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="the reference has another tokenizer .*id 7 is 'w9'"):
        refuse_other_tokens(tiny.tokenizer(), swapped(), who="the reference")
    refuse_other_tokens(tiny.tokenizer(), None, who="the reference")


def test_ids_beyond_the_model_are_refused() -> None:
    refuse_ids_beyond(tiny.tokenizer(), tiny.llama())
    with pytest.raises(ModelError, match="'w48' the id 48, .* rows for 48 tokens alone"):
        refuse_ids_beyond(tiny.tokenizer(tiny.VOCAB + 2), tiny.llama())


def test_a_folders_tokenizer(tmp_path: Path) -> None:
    assert tokenizer_in(tmp_path) is None
    swapped().save_pretrained(tmp_path)
    found = tokenizer_in(tmp_path)
    assert found is not None
    assert first_difference(swapped(), found) is None
