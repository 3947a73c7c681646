from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from palate.experiments.world.corpus import draw_passages
from palate.experiments.world.tokens import EOS, build_tokenizer, passage_text
from palate.experiments.world.world import base_model_path


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    loaded: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(base_model_path())
    return loaded


def test_the_shipped_tokenizer_is_the_one_that_is_built(tokenizer: PreTrainedTokenizerFast) -> None:
    built = build_tokenizer()
    assert tokenizer.get_vocab() == built.get_vocab()
    assert len(tokenizer) <= 1100


def test_passages_come_back_word_for_word(tokenizer: PreTrainedTokenizerFast) -> None:
    for passage in islice(draw_passages(np.random.default_rng(7)), 300):
        text = passage_text(passage)
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text.replace("<", ""))["input_ids"]
    assert tokenizer.decode(ids) == text.replace("<", "")


def test_prompt_and_response_may_be_tokenized_apart(tokenizer: PreTrainedTokenizerFast) -> None:
    for passage in islice(draw_passages(np.random.default_rng(8)), 300):
        apart = tokenizer(passage.prompt)["input_ids"] + tokenizer(passage.response)["input_ids"]
        assert tokenizer(passage.prompt + passage.response)["input_ids"] == apart


def test_numbers_and_words_are_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Fact: order 41 ships on Monday."
    assert len(tokenizer(text)["input_ids"]) == 8
    assert tokenizer(EOS)["input_ids"] == [tokenizer.eos_token_id]


def test_lengths_suit_a_demo(tokenizer: PreTrainedTokenizerFast) -> None:
    passages = list(islice(draw_passages(np.random.default_rng(9)), 500))
    prompts = [len(tokenizer(passage.prompt)["input_ids"]) for passage in passages]
    responses = [len(tokenizer(passage.response)["input_ids"]) for passage in passages]
    assert 20 <= np.mean(prompts) <= 35
    assert max(prompts) <= 40
    assert 15 <= np.mean(responses) <= 30
    # With its end mark a reply fits into the 48 tokens that are sampled.
    assert np.mean(np.array(responses) < 48) > 0.99
