import torch

from palate.data.trees import Response, Tree
from palate.training.dealing import Dealt, longest_responses, minibatches

TREES = [
    Tree((5, 6), (Response((7, 2)), Response((2,)))),
    Tree((8,), (Response((9, 9, 9), stopped=False),)),
]


def test_numbers_go_with_their_trees_in_any_order_and_are_kept() -> None:
    dealt = Dealt(
        TREES,
        tokens={"one": torch.arange(6.0)},
        responses={"two": torch.tensor([10.0, 20.0, 30.0])},
    )
    second, first = dealt.portions([1, 0], max_tokens=1)
    assert second.forest.tokens.tolist() == [8, 9, 9, 9]
    assert second.tokens["one"].tolist() == [3, 4, 5]
    assert second.responses["two"].tolist() == [30]
    assert first.tokens["one"].tolist() == [0, 1, 2]
    assert first.responses["two"].tolist() == [10, 20]
    assert next(iter(dealt.portions([1], max_tokens=1))) is second
    (both,) = dealt.portions([0, 1], max_tokens=100)
    assert both.tokens["one"].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_pass_deals_every_tree_once_and_anew() -> None:
    found = list(minibatches(6, passes=2, count=3, seed=0, step=1))
    assert [len(some) for some in found] == [2] * 6
    first, second = sum(found[:3], []), sum(found[3:], [])
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    assert list(minibatches(3, passes=2, count=1, seed=0, step=1)) == [[0, 1, 2], [0, 1, 2]]


def test_the_longest_responses_are_of_full_length() -> None:
    (tree,) = longest_responses([Tree((4, 5))], count=2, length=3)
    assert [len(response.tokens) for response in tree.responses] == [3, 3]
