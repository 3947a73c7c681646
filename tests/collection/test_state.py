"""State is a function of the log: replayed it is the same, and undo takes back what was done."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.collection.pairs import Clock, some_items

from palate.collection import CollectionSettings, Store, open_store
from palate.collection.events import Event, check_chain, hash_of, verdict_of
from palate.collection.state import State, replay
from palate.errors import StoreError, UsageError

PEOPLE = (1, 2, 3)
ACTS = ["left", "tie", "both_bad", "skip", "undo", "note", "flag", "wait", "exclude", "include"]
Act = tuple[int, str]


def perform(store: Store, clock: Clock, act: Act) -> None:
    """Let somebody do something, where it is possible."""
    annotator, what = act
    if what == "wait":
        clock.wait(40.0)
    elif what == "undo":
        try:
            store.undo(annotator)
        except UsageError:
            with store.reading() as state:
                assert state.decided_by(annotator) == []
    elif what == "exclude":
        store.exclude(1, annotator, "a try")
    elif what == "include":
        store.include(1, annotator)
    elif questions := store.questions(annotator, count=2):
        question = questions[0].id
        if what == "skip":
            store.skip(annotator, question)
        elif what == "note":
            store.note(annotator, question, "hm")
        elif what == "flag":
            store.flag(annotator, question, "look")
        else:
            store.vote(annotator, question, what)


def check_places(state: State) -> None:
    """No pair has more votes than wanted, nor two of one person."""
    for item in range(1, state.num_items + 1):
        counted = [s.annotator for s in state.showings_on(item) if s.is_counted]
        assert len(counted) <= state.settings.votes_per_item
        assert len(set(counted)) == len(counted)
        assert state.num_votes(item) == len(state.votes_on(item))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(ACTS)), max_size=40))
def test_replay_gives_the_same_state(acts: list[Act]) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes"
        options = CollectionSettings(
            votes_per_item=2, lease_seconds=60.0, repeat_share=0.2, salt="laws"
        )
        with open_store(path, settings=options, clock=clock) as store:
            store.add_items(some_items(14))
            for name in PEOPLE:
                store.add_annotator(f"person {name}")
            for act in acts:
                perform(store, clock, act)
            events = store.events()
            with store.reading() as state:
                assert replay(events) == state
                if not any(event.kind == "exclude" for event in events):
                    check_places(state)
        with open_store(path, clock=clock) as again, again.reading() as state:
            assert replay(events) == state


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["left", "right", "tie", "both_bad", "skip"]), max_size=8))
def test_undoing_everything_leaves_nothing(choices: list[str]) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        options = CollectionSettings(repeat_share=0.0, salt="laws")
        with open_store(Path(folder) / "votes", settings=options, clock=clock) as store:
            store.add_items(some_items(10))
            ann, _ = store.add_annotator("ann")
            before = store.questions(ann.id, count=1)
            for choice in choices:
                question = store.questions(ann.id)[0].id
                if choice == "skip":
                    store.skip(ann.id, question)
                else:
                    store.vote(ann.id, question, choice)
            for _ in choices:
                store.undo(ann.id)
            assert store.questions(ann.id)[0] == before[0]
            progress = store.progress(ann.id)
            assert (progress.num_votes, progress.num_mine, progress.num_skipped) == (0, 0, 0)
            assert store.export().rows == []


def test_a_choice_means_a_response_through_the_side() -> None:
    assert verdict_of("left", shown_left="first") == "first"
    assert verdict_of("right", shown_left="first") == "second"
    assert verdict_of("left", shown_left="second") == "second"
    assert verdict_of("right", shown_left="second") == "first"
    for same in ("tie", "both_bad"):
        assert verdict_of(same, shown_left="second") == same


def test_a_chain_notices_every_change() -> None:
    chain: list[Event] = []
    for number in range(4):
        last = chain[-1] if chain else None
        line = Event(
            "note", annotator=1, content={"text": f"{number}"}, seq=number + 1, time=number + 0.5,
            previous=last.digest if last else "",
        )  # fmt: skip
        chain.append(replace(line, digest=hash_of(line)))
    check_chain(chain)
    check_chain(chain[2:], after=chain[1])
    for broken in (
        chain[1:],
        [*chain[:1], *chain[2:]],
        [chain[1], chain[0], *chain[2:]],
        [*chain[:2], replace(chain[2], annotator=2), chain[3]],
        [*chain[:2], replace(chain[2], content={"text": "else"}), chain[3]],
        [*chain[:3], replace(chain[3], latency_ms=5)],
    ):
        with pytest.raises(StoreError, match="is not what was written"):
            check_chain(broken)
