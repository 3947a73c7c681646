import hashlib
import subprocess
import sys

import pytest

from palate.data.records import Demonstration, Preference, Prompt, Turn, prompt_key
from palate.errors import DataError

USER = Turn("user", "hi")


def test_prompt_key_is_the_hash_of_canonical_json() -> None:
    assert prompt_key("é") == hashlib.sha256(b'"\\u00e9"').hexdigest()
    assert prompt_key((USER,)) == hashlib.sha256(b'[["user","hi"]]').hexdigest()


def test_prompt_key_tells_text_from_the_conversation_that_it_spells() -> None:
    assert prompt_key('[["user","hi"]]') != prompt_key((USER,))


def test_an_unknown_role_is_refused_by_name() -> None:
    # Here the type checker of the tests would object first, so another process asks.
    probe = "from palate.data.records import Turn; Turn('human', 'hi')"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert "DataError: Turn: role is 'human'; it must be one of system, user" in result.stderr


@pytest.mark.parametrize("blank", ["", " \n"])
def test_blank_responses_are_refused_with_their_place(blank: str) -> None:
    with pytest.raises(DataError, match="a.jsonl:7: rejected is empty"):
        Preference("q", "yes", blank, origin="a.jsonl:7")
    with pytest.raises(DataError, match="a.jsonl:7: response is empty"):
        Demonstration("q", blank, origin="a.jsonl:7")


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_counts_nothing_or_everything_is_refused(weight: float) -> None:
    with pytest.raises(DataError, match="weight is"):
        Preference("q", "a", "b", weight=weight)


def test_a_conversation_must_end_in_a_user_turn() -> None:
    with pytest.raises(DataError, match="end in a user turn"):
        Prompt((USER, Turn("assistant", "hello")))
    with pytest.raises(DataError, match="end in a user turn"):
        Prompt(())


def test_equal_responses_and_an_infinite_margin_are_refused() -> None:
    with pytest.raises(DataError, match="same text"):
        Preference("q", "a", "a")
    with pytest.raises(DataError, match="margin is inf"):
        Preference("q", "a", "b", margin=float("inf"))
