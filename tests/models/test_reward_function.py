"""What a reward function is given, and every way in which it can give back nonsense."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from palate.data.records import Prompt, Turn
from palate.errors import NumericalError, UsageError
from palate.models.reward_function import NamedFunction, RewardFunction, rewards_of

PROMPTS = [
    Prompt("one", origin="p.jsonl:1", columns={"answer": "1", "level": 3}),
    Prompt((Turn("user", "two"),), origin="p.jsonl:2", columns={"answer": "2"}),
]


def ask(function: RewardFunction, responses: Sequence[str] = ("1", "3")) -> list[float]:
    return rewards_of(NamedFunction(function, "mine:right"), PROMPTS, responses)


def test_columns_reach_the_function_by_name() -> None:
    def right(prompts: list[object], responses: list[str], answer: list[str]) -> list[float]:
        assert prompts == ["one", [{"role": "user", "content": "two"}]]
        return [float(r == a) for r, a in zip(responses, answer, strict=True)]

    assert ask(right) == [1.0, 0.0]


def test_a_function_of_all_columns_gets_them_all_and_none_where_a_row_lacks_one() -> None:
    seen: dict[str, Any] = {}

    def right(prompts: list[object], responses: list[str], **columns: list[object]) -> list[float]:
        seen.update(columns)
        return [0.0, 0.0]

    ask(right)
    assert seen == {"answer": ["1", "2"], "level": [3, None]}


def test_arrays_and_generators_are_numbers_too() -> None:
    assert ask(lambda _p, r: np.array([len(one) for one in r])) == [1.0, 1.0]
    assert ask(lambda _p, r: (len(one) for one in r)) == [1.0, 1.0]


def test_a_column_that_no_row_has_is_named() -> None:
    def needy(prompts: list[object], responses: list[str], solution: list[str]) -> list[float]:
        return [0.0] * len(solution)

    with pytest.raises(UsageError, match=r"mine:right asks for solution.*columns: answer, level"):
        ask(needy)


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ([1.0], UsageError, r"gave 1 rewards for 2 responses \(the first to the prompt 'one'"),
        (
            [1.0, float("nan")],
            NumericalError,
            r"nan for the response '3' to the prompt 'two' \(p.j",
        ),
        (
            [float("inf"), 0.0],
            NumericalError,
            r"inf for the response '1' to the prompt 'one' \(p.j",
        ),
        ([1.0, None], UsageError, r"'None' for the response '3'"),
        ([1.0, "2"], UsageError, r"'2' for the response '3'"),
        ([[1.0, 2.0], [3.0, 4.0]], UsageError, "must be a finite number"),
        (np.zeros((2, 2)), UsageError, "must be a finite number"),
    ],
)
def test_what_is_no_number_a_response_names_its_prompt(
    given: Iterable[Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        ask(lambda _p, _r: given)


def test_only_the_first_three_of_many_are_named() -> None:
    function = NamedFunction(lambda _p, r: [float("nan")] * len(r), "mine:nan")
    with pytest.raises(NumericalError, match="'c' to the prompt 'one'.*; and 2 more"):
        rewards_of(function, [PROMPTS[0]] * 5, list("abcde"))


def test_an_error_inside_the_function_is_told_in_one_line() -> None:
    def broken(prompts: list[object], responses: list[str]) -> list[float]:
        known: dict[str, float] = {}
        return [known[r] for r in responses]

    with pytest.raises(UsageError, match=r"mine:right raised KeyError: '1' \(on 2 responses"):
        ask(broken)
