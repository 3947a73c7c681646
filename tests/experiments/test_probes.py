"""What each probe makes of a response, on the embedded world's tokenizer and on a tiny one."""

import pytest
from tests import tiny
from transformers import AutoTokenizer

from palate.data.records import Preference, Turn
from palate.data.render import Renderer
from palate.experiments.probes import PROBES, probe_trees
from palate.experiments.world import base_model_path

RENDERER = Renderer(AutoTokenizer.from_pretrained(str(base_model_path())))
FACT = "Fact: order {n} ships on Monday.\nCustomer: Hi.\nReply:"
PAIRS = [Preference(FACT.format(n=n), f"Order {n} is sent.", "No.") for n in (41, 42, 43)]


def _texts(name: str) -> list[str | None]:
    trees = probe_trees(name, PAIRS, RENDERER, max_length=1024)
    return [RENDERER.decode(tree.responses[0].tokens) if tree else None for tree in trees]


def test_every_probe_by_name() -> None:
    assert _texts("append-thanks")[0] == "Order 41 is sent. Thanks!"
    assert _texts("append-flattery")[1] == "Order 42 is sent. What a brilliant question!"
    assert _texts("repeat")[0] == "Order 41 is sent. Order 41 is sent."
    assert _texts("cut")[2] == "Order 43"
    assert _texts("drop-eos") == [pair.chosen for pair in PAIRS]
    assert _texts("wrong-prompt") == [pair.chosen for pair in PAIRS]


def test_what_is_appended_is_appended_to_both_responses() -> None:
    assert _texts("append-thanks")[3:] == ["No. Thanks!"] * 3
    assert {name: len(_texts(name)) for name in PROBES} == {
        "append-thanks": 6, "append-flattery": 6, "repeat": 3, "cut": 3, "drop-eos": 3,
        "wrong-prompt": 3,
    }  # fmt: skip


def test_only_dropping_the_end_leaves_a_response_unfinished() -> None:
    for name in PROBES:
        for tree in probe_trees(name, PAIRS, RENDERER, max_length=1024):
            assert tree is not None
            (response,) = tree.responses
            ends = response.tokens[-1] in RENDERER.end_token_ids
            assert ends == response.stopped == (name != "drop-eos")


def test_a_wrong_prompt_is_another_ones_and_each_is_used_once() -> None:
    trees = probe_trees("wrong-prompt", PAIRS, RENDERER, max_length=1024)
    own = [RENDERER.prompt_tokens(pair.prompt) for pair in PAIRS]
    given = [tree.prompt for tree in trees if tree]
    assert sorted(given) == sorted(own)
    assert all(a != b for a, b in zip(given, own, strict=True))
    # Where all pairs have one prompt there is no other.
    alone = [Preference("one", "a", "b"), Preference("one", "c", "d")]
    assert probe_trees("wrong-prompt", alone, RENDERER, max_length=1024) == [None, None]


def test_what_a_probe_cannot_be_applied_to_is_left_out() -> None:
    single = [Preference("Hello", "No.", "Yes.")]
    assert probe_trees("cut", single, RENDERER, max_length=1024) == [None]
    # The tiny tokenizer cannot write "Thanks!".
    words = [Preference("w3", "w4 w5", "w6")]
    narrow = Renderer(tiny.tokenizer())
    assert probe_trees("append-thanks", words, narrow, max_length=1024) == [None, None]
    (twice,) = probe_trees("repeat", words, narrow, max_length=1024)
    assert twice is not None
    assert len(twice.responses[0].tokens) == 5
    assert probe_trees("repeat", words, narrow, max_length=5) == [None]


@pytest.mark.parametrize("name", PROBES)
def test_conversations_are_probed_too(name: str) -> None:
    chats = [
        Preference((Turn("user", f"Where is order {n}?"),), "It is sent.", "No.") for n in (1, 2)
    ]
    for tree in probe_trees(name, chats, RENDERER, max_length=1024):
        assert tree is not None
        assert RENDERER.decode(tree.prompt).endswith("Assistant:")
