"""Which pair comes next, by each strategy."""

from collections.abc import Sequence
from math import log

import pytest
from tests.collection.conftest import MakeStore
from tests.collection.pairs import some_items

from palate.collection import Item, Store
from palate.collection.questions import disagreement


def person(store: Store, name: str) -> int:
    """The id of a new annotator."""
    return store.add_annotator(name)[0].id


def answer(store: Store, annotator: int, choices: Sequence[str]) -> list[str]:
    """Answer so many questions; gives the prompts in their order."""
    prompts = []
    for choice in choices:
        question = store.questions(annotator)[0]
        prompts.append(str(question.prompt))
        store.vote(annotator, question.id, choice)
    return prompts


def test_random_is_one_order_for_all(make_store: MakeStore) -> None:
    store = make_store(20, votes_per_item=2)
    ann, bea = person(store, "ann"), person(store, "bea")
    order = answer(store, ann, ["tie"] * 20)
    assert answer(store, bea, ["tie"] * 20) == order
    assert order != [item.prompt for item in some_items(20)]
    other = make_store(20, votes_per_item=2, salt="another")
    assert answer(other, person(other, "ann"), ["tie"] * 20) != order


def test_coverage_gives_every_pair_one_vote_before_any_has_two(make_store: MakeStore) -> None:
    store = make_store(6, votes_per_item=3, strategy="coverage")
    people = [person(store, name) for name in ("ann", "bea", "cid")]
    seen = [answer(store, who, ["tie"] * 2) for who in people]
    assert len({prompt for prompts in seen for prompt in prompts}) == 6
    answer(store, people[0], ["tie"] * 2)
    answer(store, people[1], ["tie"] * 2)
    with store.reading() as state:
        assert sorted(state.num_votes(item) for item in range(1, 7)) == [1, 1, 2, 2, 2, 2]


def test_disagreement_comes_first_then_what_is_begun(make_store: MakeStore) -> None:
    store = make_store(10, votes_per_item=3, strategy="disagreement")
    ann, bea, cid = (person(store, name) for name in ("ann", "bea", "cid"))
    first = answer(store, ann, ["tie", "tie", "tie"])
    assert sorted(answer(store, bea, ["tie", "both_bad", "tie"])) == sorted(first)
    with store.reading() as state:
        [contested] = [
            s.item for s in state.votes() if s.verdict == "both_bad"
        ]  # bea said so, ann "tie"
    question = store.questions(cid)[0]
    assert question.prompt == store.item(contested).prompt
    store.vote(cid, question.id, "tie")
    assert answer(store, cid, ["tie"])[0] in first


def test_uncertainty_is_the_smallest_margin_and_unscored_pairs_are_last(
    make_store: MakeStore,
) -> None:
    store = make_store(0, strategy="uncertainty")
    margins = {"far": -3.0, "near": 0.1, "middle": 1.0, "unscored": None, "even": 0.0}
    store.add_items(Item(name, "a", "b", margin=margin) for name, margin in margins.items())
    prompts = answer(store, person(store, "ann"), ["tie"] * 5)
    assert prompts == ["even", "near", "middle", "far", "unscored"]


def test_disagreement_is_an_entropy() -> None:
    assert disagreement(["first"] * 3) == 0
    assert disagreement(["first", "second"]) == pytest.approx(log(2))
    assert disagreement(["first", "second", "tie"]) == pytest.approx(log(3))
