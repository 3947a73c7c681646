"""The verbs of the store: votes once and only once, places, undo, who may what."""

import pytest
from tests.collection.conftest import MakeStore
from tests.collection.pairs import Clock, some_items

from palate.collection import Question, Store
from palate.collection.events import CHOICES, Choice
from palate.errors import UsageError


def next_of(store: Store, annotator: int) -> Question:
    """The current question of an annotator."""
    return store.questions(annotator)[0]


def people(store: Store, count: int) -> list[int]:
    """Ids of so many new annotators."""
    return [store.add_annotator(f"person {number}")[0].id for number in range(count)]


def test_a_vote_ends_a_question_and_brings_the_next(make_store: MakeStore) -> None:
    store = make_store(3)
    [ann] = people(store, 1)
    prompts = []
    for choice in ("left", "tie", "both_bad"):
        question = next_of(store, ann)
        prompts.append(question.prompt)
        assert not store.vote(ann, question.id, choice).is_late
    assert sorted(map(str, prompts)) == [f"What is {n} plus one?" for n in range(3)]
    assert store.questions(ann) == []
    progress = store.progress(ann)
    assert (progress.num_complete, progress.num_votes, progress.num_wanted) == (3, 3, 3)
    assert (progress.num_mine, progress.num_skipped) == (3, 0)


def test_asking_again_gives_the_same_questions(make_store: MakeStore) -> None:
    store = make_store(5)
    [ann] = people(store, 1)
    two = store.questions(ann, count=2)
    assert store.questions(ann, count=2) == two
    store.vote(ann, two[0].id, "left")
    assert store.questions(ann, count=2)[0] == two[1]


def test_a_question_says_nothing_of_origins(make_store: MakeStore) -> None:
    store = make_store(1)
    [ann] = people(store, 1)
    question = next_of(store, ann)
    for hidden in ("sums.jsonl", "sum-0"):
        assert hidden not in repr(question)


def test_a_repeated_request_changes_nothing_and_has_the_first_answer(make_store: MakeStore) -> None:
    store = make_store(3)
    [ann] = people(store, 1)
    first, second = store.questions(ann, count=2)
    receipt = store.vote(ann, first.id, "left", request="a")
    assert store.vote(ann, first.id, "left", request="a") == receipt
    store.vote(ann, second.id, "right", request="b")
    back = store.undo(ann, request="u")
    assert store.undo(ann, request="u") == back
    assert back.question == second.id
    assert store.progress(ann).num_mine == 1


def test_a_request_name_is_for_one_act(make_store: MakeStore) -> None:
    store = make_store(3)
    [ann, bea] = people(store, 2)
    first, second = store.questions(ann, count=2)
    store.vote(ann, first.id, "left", request="a")
    with pytest.raises(UsageError, match="was another act"):
        store.vote(ann, second.id, "left", request="a")
    with pytest.raises(UsageError, match="was another act"):
        store.vote(ann, first.id, "right", request="a")
    store.vote(bea, next_of(store, bea).id, "left", request="a")  # another person's own name


def test_an_answered_question_is_locked(make_store: MakeStore) -> None:
    store = make_store(2)
    [ann] = people(store, 1)
    question = next_of(store, ann)
    store.vote(ann, question.id, "left")
    for choice in CHOICES:
        with pytest.raises(UsageError, match="answered already"):
            store.vote(ann, question.id, choice)
    with pytest.raises(UsageError, match="answered already"):
        store.skip(ann, question.id)


def test_one_cannot_answer_for_another(make_store: MakeStore) -> None:
    store = make_store(2)
    ann, bea = people(store, 2)
    question = next_of(store, ann)
    with pytest.raises(UsageError, match="no question"):
        store.vote(bea, question.id, "left")
    with pytest.raises(UsageError, match="no question"):
        store.note(bea, question.id, "mine?")
    with pytest.raises(UsageError, match="no annotator 9"):
        store.questions(9)


def test_undo_goes_back_to_the_first_answer(make_store: MakeStore) -> None:
    store = make_store(4)
    [ann] = people(store, 1)
    asked = []
    for number in range(4):
        asked.append(next_of(store, ann))
        if number == 2:
            store.skip(ann, asked[-1].id, reason="no idea")
        else:
            store.vote(ann, asked[-1].id, "left")
    for question in reversed(asked):
        assert store.undo(ann).question == question.id
        assert next_of(store, ann) == question  # with the same sides
    with pytest.raises(UsageError, match="left to take back"):
        store.undo(ann)
    assert store.progress(ann).num_votes == 0


def test_a_skipped_pair_goes_to_others_and_never_back(make_store: MakeStore) -> None:
    store = make_store(1)
    ann, bea = people(store, 2)
    store.skip(ann, next_of(store, ann).id)
    assert store.questions(ann) == []
    assert len(store.questions(bea)) == 1


def test_a_pair_takes_as_many_annotators_as_wanted(make_store: MakeStore) -> None:
    store = make_store(1, votes_per_item=2)
    ann, bea, cid = people(store, 3)
    next_of(store, ann), next_of(store, bea)
    assert store.questions(cid) == []  # both places are kept, though nobody has voted


def test_an_abandoned_pair_returns_and_a_late_vote_does_not_count(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(1, lease_seconds=60.0)
    ann, bea = people(store, 2)
    slow = next_of(store, ann)
    clock.wait(59)
    assert store.questions(bea) == []
    clock.wait(2)
    quick = next_of(store, bea)
    store.vote(bea, quick.id, "right")
    assert store.vote(ann, slow.id, "left").is_late
    progress = store.progress(ann)
    assert (progress.num_votes, progress.num_mine) == (1, 1)


def test_a_slow_vote_counts_where_nobody_took_the_place(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(1, lease_seconds=60.0)
    ann, bea = people(store, 2)
    slow = next_of(store, ann)
    clock.wait(1000)
    assert not store.vote(ann, slow.id, "left").is_late
    assert store.questions(bea) == []


def test_a_slow_vote_is_late_where_the_place_is_kept_for_another(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(1, lease_seconds=60.0)
    ann, bea = people(store, 2)
    slow = next_of(store, ann)
    clock.wait(61)
    next_of(store, bea)
    assert store.vote(ann, slow.id, "left").is_late


def test_a_page_that_is_looked_at_keeps_its_place(make_store: MakeStore, clock: Clock) -> None:
    store = make_store(1, lease_seconds=60.0)
    ann, bea = people(store, 2)
    question = next_of(store, ann)
    for _ in range(5):
        clock.wait(40)
        assert next_of(store, ann) == question
    assert store.questions(bea) == []


def test_an_abandoned_pair_may_return_to_the_same_person(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(1, lease_seconds=60.0)
    [ann] = people(store, 1)
    question = next_of(store, ann)
    clock.wait(1000)
    assert next_of(store, ann) == question


def test_an_undone_vote_keeps_its_place_and_an_undone_skip_takes_none_away(
    make_store: MakeStore,
) -> None:
    store = make_store(1)
    ann, bea = people(store, 2)
    question = next_of(store, ann)
    store.vote(ann, question.id, "left")
    store.undo(ann)
    assert store.questions(bea) == []
    store.skip(ann, question.id)
    store.vote(bea, next_of(store, bea).id, "left")
    store.undo(ann)
    assert next_of(store, ann) == question
    assert store.vote(ann, question.id, "right").is_late
    assert store.progress(ann).num_votes == 1


def test_sides_differ_between_annotators_and_are_balanced(make_store: MakeStore) -> None:
    store = make_store(200, votes_per_item=2)
    ann, bea = people(store, 2)
    firsts = {item.first for item in some_items(200)}
    left_is_first = {
        who: {q.prompt: q.left in firsts for q in store.questions(who, count=200)}
        for who in (ann, bea)
    }
    for sides in left_is_first.values():
        assert abs(sum(sides.values()) - 100) <= 21  # 3 standard deviations of 200 coins
    same = sum(left_is_first[ann][prompt] == side for prompt, side in left_is_first[bea].items())
    assert abs(same - 100) <= 21


def test_pairs_come_once_in_either_order(make_store: MakeStore) -> None:
    store = make_store(2)
    item = some_items(1)[0]
    turned = type(item)(item.prompt, item.second, item.first)
    assert store.add_items([item, turned]) == 0
    assert store.add_items(some_items(2, start=1)) == 1
    assert store.progress(people(store, 1)[0]).num_items == 3


def test_flags_and_notes_stay_with_their_question(make_store: MakeStore) -> None:
    store = make_store(2)
    ann, boss = people(store, 2)
    question = next_of(store, ann)
    store.note(ann, question.id, "hm", request="n")
    store.flag(ann, question.id, "names a person", request="f")
    shown = next_of(store, ann)
    assert (shown.note, shown.flag) == ("hm", "names a person")
    [contest] = store.contests(boss)
    assert contest.ballots[0].flag == "names a person"
    assert contest.ballots[0].choice is None
    store.vote(ann, question.id, "left")
    store.flag(ann, question.id, "")
    assert store.contests(boss) == []
    with pytest.raises(UsageError, match="10001 characters"):
        store.note(ann, question.id, "x" * 10_001)


def test_guidelines_have_versions_and_votes_know_theirs(make_store: MakeStore) -> None:
    store = make_store(3)
    [ann] = people(store, 1)
    assert store.guidelines() == (0, "")
    assert next_of(store, ann).guideline_version == 0
    assert store.set_guidelines("Prefer the true one.") == 1
    assert store.set_guidelines("Prefer the true one.") == 1
    assert store.set_guidelines("Prefer the true and short one.") == 2
    assert store.guidelines() == (2, "Prefer the true and short one.")
    assert [q.guideline_version for q in store.questions(ann, count=2)] == [0, 2]


def test_secrets_are_known_once_and_void_when_renewed(make_store: MakeStore) -> None:
    store = make_store(1)
    ann, secret = store.add_annotator("ann", role="admin")
    assert store.annotator_of(secret) == ann
    assert store.annotator_of("something else") is None
    again, renewed = store.add_annotator("ann")
    assert (again.id, again.role) == (ann.id, "annotate")
    assert store.annotator_of(secret) is None
    assert store.annotator_of(renewed) == again
    for name in ("", "  ", "a\nb", "x" * 101):
        with pytest.raises(UsageError, match="printable"):
            store.add_annotator(name)


def test_contested_pairs_are_decided_by_what_the_adjudicator_sees(make_store: MakeStore) -> None:
    store = make_store(2, votes_per_item=2)
    ann, bea, boss = people(store, 3)
    good = {item.first for item in some_items(2)}
    for who in (ann, bea):
        for question in store.questions(who, count=2):
            is_first = question.prompt == "What is 0 plus one?" or who == ann
            store.vote(who, question.id, "left" if (question.left in good) == is_first else "right")
    [contest] = store.contests(boss)
    assert contest.prompt == "What is 1 plus one?"
    assert sorted(ballot.choice or "" for ballot in contest.ballots) == ["left", "right"]
    right: Choice = "left" if contest.left in good else "right"
    store.adjudicate(boss, contest.item, right, note="counted", request="j")
    store.adjudicate(boss, contest.item, right, note="counted", request="j")
    assert store.contests(boss)[0].ruling == right
    store.adjudicate(boss, contest.item, None)
    assert store.contests(boss)[0].ruling is None
    with pytest.raises(UsageError, match="no pair 77"):
        store.adjudicate(boss, 77, "left")


def test_an_excluded_annotators_places_are_free_until_they_are_included(
    make_store: MakeStore,
) -> None:
    store = make_store(1)
    ann, bea, boss = people(store, 3)
    store.vote(ann, next_of(store, ann).id, "left")
    assert store.questions(bea) == []
    store.exclude(boss, ann, "always left")
    assert store.progress(ann).num_votes == 0
    store.vote(bea, next_of(store, bea).id, "right")
    store.include(boss, ann)
    assert store.progress(ann).num_votes == 2


def test_an_excluded_annotator_sees_no_difference(make_store: MakeStore) -> None:
    store = make_store(4)
    ann, boss = people(store, 2)
    before = store.questions(ann, count=2)
    store.exclude(boss, ann, "a try")
    length = len(store.events())
    assert store.questions(ann, count=2) == before
    assert len(store.events()) == length
    for question in before:
        assert not store.vote(ann, question.id, "tie").is_late
    assert store.progress(ann).num_mine == 2
    assert len(store.questions(boss, count=4)) == 4


def test_request_names_are_short_and_plain(make_store: MakeStore) -> None:
    store = make_store(2)
    [ann] = people(store, 1)
    question = next_of(store, ann).id
    for name in ("x" * 201, "\ud800", "a\nb", "é"):
        with pytest.raises(UsageError, match="ASCII"):
            store.vote(ann, question, "left", request=name)
    store.note(ann, question, "one \ud800", request="n")
    with pytest.raises(UsageError, match="another act"):
        store.note(ann, question, "two", request="n")


def test_a_choice_is_one_of_four(make_store: MakeStore) -> None:
    store = make_store(1)
    [ann] = people(store, 1)
    with pytest.raises(UsageError, match="choice is 'first'; it must be one of left, right, tie"):
        store.vote(ann, next_of(store, ann).id, "first")


def test_latency_is_a_time(make_store: MakeStore) -> None:
    store = make_store(1)
    [ann] = people(store, 1)
    with pytest.raises(UsageError, match="latency_ms is -1"):
        store.vote(ann, next_of(store, ann).id, "left", latency_ms=-1)
