import pytest

from palate.data.faults import Refusal
from palate.data.records import Turn
from palate.data.turns import check_prompt, parse_text, parse_turns, split_reply

U, A, S = Turn("user", "u"), Turn("assistant", "a"), Turn("system", "s")


def _refused(error: pytest.ExceptionInfo[Refusal]) -> str:
    return error.value.code


def test_turns_keep_their_content_and_ignore_other_keys() -> None:
    rows = [{"role": "user", "content": " hi\n", "name": "Ann", "tool_calls": None}]
    assert parse_turns(rows, name="prompt") == (Turn("user", " hi\n"),)


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ("hi", "E203", "prompt is 'hi', not a list of turns"),
        ([], "E301", "prompt is an empty list"),
        (["hi"], "E305", r"prompt\[0\] is 'hi'"),
        ([{"content": "hi"}], "E302", r"prompt\[0\] has the role None"),
        ([{"role": "human", "content": "hi"}], "E302", "the role 'human'"),
        ([{"role": "tool", "content": "hi"}], "E302", "the role 'tool'"),
        ([{"role": ["user"], "content": "hi"}], "E302", r"the role \['user'\]"),
        ([{"role": "user"}], "E305", r"prompt\[0\] has no text"),
        ([{"role": "user", "content": None}], "E305", "content is None"),
        ([{"role": "user", "content": [{"type": "text"}]}], "E305", "content is \\[{"),
        ([{"role": "assistant", "content": "", "tool_calls": [1]}], "E311", "calls a tool"),
        ([{"role": "user", "content": "\ud800"}], "E104", r"prompt\[0\].content holds '\\ud800'"),
    ],
)
def test_turns_that_cannot_be_read(value: object, code: str, message: str) -> None:
    with pytest.raises(Refusal, match=message) as error:
        parse_turns(value, name="prompt")
    assert _refused(error) == code


@pytest.mark.parametrize("turns", [(U,), (S, U), (U, A, U), (S, U, A, U), (Turn("system", ""), U)])
def test_prompts_in_order(turns: tuple[Turn, ...]) -> None:
    check_prompt(turns, name="prompt")


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ((A, U), "E303"),
        ((S, A, U), "E303"),
        ((U, U), "E304"),
        ((U, A, A, U), "E304"),
        ((U, A), "E307"),
        ((S,), "E307"),
        ((U, S, U), "E309"),
        ((S, S, U), "E309"),
        ((Turn("user", " "),), "E310"),
        ((U, Turn("assistant", ""), U), "E310"),
    ],
)
def test_prompts_out_of_order(turns: tuple[Turn, ...], code: str) -> None:
    with pytest.raises(Refusal) as error:
        check_prompt(turns, name="prompt")
    assert _refused(error) == code


def test_the_place_of_a_fault_counts_the_system_turn() -> None:
    with pytest.raises(Refusal, match=r"prompt\[1\] and \[2\] are both of role user"):
        check_prompt((S, U, U), name="prompt")
    with pytest.raises(Refusal, match=r"prompt\[1\] \(user\) is empty"):
        check_prompt((S, Turn("user", "")), name="prompt")


def test_a_conversation_parts_into_prompt_and_reply() -> None:
    assert split_reply((S, U, A, U, Turn("assistant", "end")), name="chosen") == (
        (S, U, A, U),
        "end",
    )


@pytest.mark.parametrize(
    ("turns", "code"),
    [((U,), "E306"), ((A,), "E303"), ((S, A), "E303"), ((A, U, A), "E303"), ((U, A, A), "E304")],
)
def test_conversations_without_a_reply_to_a_prompt(turns: tuple[Turn, ...], code: str) -> None:
    with pytest.raises(Refusal) as error:
        split_reply(turns, name="chosen")
    assert _refused(error) == code


@pytest.mark.parametrize(
    ("value", "code"), [(None, "E202"), (3, "E203"), ("a\0", "E102"), ("a\udc80", "E104")]
)
def test_text_that_is_no_text(value: object, code: str) -> None:
    with pytest.raises(Refusal) as error:
        parse_text(value, name="chosen")
    assert _refused(error) == code
