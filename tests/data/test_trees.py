"""Trees and forests: the module's picture, by hand; packing laws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.trees import Response, Span, Tree, fit, pack, plant
from palate.errors import DataError


def _tree(prompt: int, *responses: int, origin: str = "") -> Tree:
    return Tree(
        tuple(range(prompt)), tuple(Response(tuple(range(c))) for c in responses), origin=origin
    )


def test_a_forest_is_laid_out_as_the_picture_says() -> None:
    forest = plant(
        [
            Tree((10, 11, 12), (Response((20, 21)), Response((30,), stopped=False))),
            Tree((40,), (Response((50, 51, 52)),)),
        ]
    )

    #        row      0   1   2   3   4   5   6   7   8   9
    assert forest.tokens.tolist() == [10, 11, 12, 20, 21, 30, 40, 50, 51, 52]
    assert forest.positions.tolist() == [0, 1, 2, 3, 4, 3, 0, 1, 2, 3]
    assert forest.spans == (Span(0, 3, (2, 1)), Span(6, 1, (3,)))
    # The prompt's last row (2) predicts the first token of both responses.
    assert forest.predicting_rows.tolist() == [2, 3, 2, 6, 7, 8]
    assert forest.targets.tolist() == [20, 21, 30, 50, 51, 52]
    assert forest.owner.tolist() == [0, 0, 1, 2, 2, 2]
    assert forest.last_rows.tolist() == [4, 5, 9]
    assert forest.stopped.tolist() == [True, False, True]
    assert forest.lengths.tolist() == [2, 1, 3]
    assert forest.num_responses == 3
    # Pairs of a causal triangle over a prompt of P: P²/2; a response adds C·(P + C/2).
    assert forest.num_attention_pairs == (4.5 + 2 * 4 + 1 * 3.5) + (0.5 + 3 * 2.5)


def test_sums_and_padding_follow_the_responses() -> None:
    forest = plant([_tree(2, 2, 1), _tree(1, 3)])
    per_token = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])

    assert forest.sums(per_token).tolist() == [3.0, 4.0, 56.0]
    assert forest.padded(per_token).tolist() == [[1, 2, 0], [4, 0, 0], [8, 16, 32]]
    assert forest.response_mask.tolist() == [
        [True, True, False],
        [True, False, False],
        [True, True, True],
    ]
    assert torch.equal(forest.padded(per_token)[forest.response_mask], per_token)


def test_gradients_flow_through_sums_and_padding() -> None:
    forest = plant([_tree(2, 2, 1)])
    per_token = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)

    weighted = (forest.sums(per_token) * torch.tensor([10.0, 100.0])).sum()
    assert torch.autograd.grad(weighted, per_token)[0].tolist() == [10, 10, 100]
    weighted = (forest.padded(per_token) * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum()
    assert torch.autograd.grad(weighted, per_token)[0].tolist() == [1, 2, 3]


def test_prompts_without_responses_can_be_planted() -> None:
    forest = plant([_tree(2), _tree(3)])

    assert forest.tokens.tolist() == [0, 1, 0, 1, 2]
    assert forest.num_responses == 0
    assert len(forest.targets) == 0
    assert forest.lengths.tolist() == []


def test_lengths_of_a_tree() -> None:
    tree = _tree(3, 4, 2)

    assert (tree.num_tokens, tree.num_response_tokens, tree.longest) == (9, 6, 7)
    assert (_tree(3).num_tokens, _tree(3).longest) == (3, 3)


def test_the_key_is_the_tokens_and_nothing_else() -> None:
    tree = Tree((1, 2), (Response((3,)),), weight=1.0, origin="a:1")

    assert tree.key() == Tree((1, 2), (Response((3,)),), weight=2.0, origin="b:9").key()
    assert tree.key() != Tree((1,), (Response((2, 3)),)).key()
    assert tree.key() != Tree((1, 2), (Response((3,)), Response((3,)))).key()


def test_nothing_empty_is_planted() -> None:
    with pytest.raises(DataError, match="at least one tree"):
        plant([])
    with pytest.raises(DataError, match=r"rows\.jsonl:4: a prompt needs at least one token"):
        Tree((), (Response((1,)),), origin="rows.jsonl:4")
    with pytest.raises(DataError, match="without tokens"):
        Response(())


SIZES = st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(1, 9), max_size=3)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, max_tokens=st.integers(1, 40))
def test_packing_keeps_order_and_budget_and_wastes_no_group(
    sizes: list[tuple[int, list[int]]], max_tokens: int
) -> None:
    trees = [_tree(prompt, *responses) for prompt, responses in sizes]
    groups = pack(trees, max_tokens=max_tokens)

    assert [i for group in groups for i in group] == list(range(len(trees)))
    loads = [sum(trees[i].num_tokens for i in group) for group in groups]
    assert all(
        load <= max_tokens or len(group) == 1 for load, group in zip(loads, groups, strict=True)
    )
    # The next group's first tree would not have fitted into the one before.
    for load, following in zip(loads, groups[1:], strict=False):
        assert load + trees[following[0]].num_tokens > max_tokens


def test_packing_by_hand() -> None:
    trees = [_tree(1, 2), _tree(1, 3), _tree(1, 9), _tree(1, 1)]  # 3, 4, 10 and 2 rows

    assert pack(trees, max_tokens=7) == [[0, 1], [2], [3]]
    assert pack(trees, max_tokens=1) == [[0], [1], [2], [3]]
    assert pack(trees, max_tokens=100) == [[0, 1, 2, 3]]
    assert pack([], max_tokens=5) == []


def test_long_rows_are_refused_or_dropped_and_never_cut() -> None:
    trees = [_tree(2, 3, 1), _tree(2, 4, origin="rows.jsonl:2"), _tree(1, 4, 4)]

    with pytest.raises(DataError, match=r"1 of 3 rows .* max_length 5 .*rows\.jsonl:2 with 6"):
        fit(trees, max_length=5)
    kept, dropped = fit(trees, max_length=5, overlong="drop")
    assert kept == [trees[0], trees[2]]
    assert dropped == 1
    assert fit(trees, max_length=6) == (trees, 0)
    with pytest.raises(DataError, match=r"every row \(3\)"):
        fit(trees, max_length=2, overlong="drop")
