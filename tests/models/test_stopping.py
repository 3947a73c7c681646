"""Stop texts may begin and end inside tokens; the tokens stay as they were sampled."""

import pytest
import torch
from tests import tiny
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from palate.data.trees import Tree, plant
from palate.models.sampling import sample
from palate.models.scoring import token_logprobs_of
from palate.models.stopping import ending

PROMPTS = [(5, 6, 7), (9,), (4, 4, 8), (21, 22)]


def _pieces(*pieces: str) -> PreTrainedTokenizerFast:
    """A token is a piece of text, and pieces are written without blanks between them."""
    backend = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, pieces[0]))
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token=pieces[0])


@pytest.mark.parametrize(
    ("tokens", "over"),
    [
        ([1], [False]),  # "User"
        ([1, 2], [False, True]),  # "User" + ": hi" completes "User:" inside a token
        ([3, 1, 2], [False, False, True]),  # "\nUs", though "er: hi" is no end of it
        ([3, 4], [False, True]),  # "\nUs" + "er:"
        ([5], [True]),  # the end token
        ([2, 1], [False, False]),  # the halves in the wrong order
    ],
)
def test_a_stop_text_over_token_borders(tokens: list[int], over: list[bool]) -> None:
    tokenizer = _pieces("<pad>", "User", ": hi", "\nUs", "er:", "</s>")
    is_over = ending(tokenizer, (5,), ["User:", "STOP"])
    assert [is_over(tokens[: i + 1]) for i in range(len(tokens))] == over


def test_samples_end_with_the_token_that_completes_the_text() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    decode = roles.tokenizer.decode
    stop = ["4 w1", "w30"]  # "w24 w13" has the first, which is in no single token
    drawn = sample(
        roles, "policy", PROMPTS, num_samples=40, max_new_tokens=12, end_tokens=(2,), stop=stop,
        seed=0,
    )  # fmt: skip
    ways: set[str | bool] = set()
    for one in (one for some in drawn for one in some):
        whole, before = decode([*one.tokens]), decode([*one.tokens[:-1]])
        found = [text for text in stop if text in whole]
        assert not any(text in before for text in stop)
        assert one.stopped == (bool(found) or one.tokens[-1] == 2)
        assert one.stopped or len(one.tokens) == 12
        ways |= set(found) or {one.tokens[-1] == 2}
    assert ways == {*stop, True, False}
    # What is learned from are the log-probabilities of just these tokens.
    forest = plant(
        [
            Tree(p, tuple(one.response() for one in some))
            for p, some in zip(PROMPTS, drawn, strict=True)
        ]
    )
    with torch.no_grad():
        scored = token_logprobs_of(roles, "policy", forest)
    told = [x for some in drawn for one in some for x in one.logprobs]
    torch.testing.assert_close(scored, torch.tensor(told), rtol=0, atol=2e-5)


def test_without_stop_texts_the_same_is_drawn() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    plain, none = (
        sample(roles, "policy", PROMPTS, max_new_tokens=8, end_tokens=(2,), seed=1, stop=stop)
        for stop in ((), ["never said"])
    )
    assert plain == none
