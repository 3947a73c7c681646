"""The server is killed again and again: no acknowledged vote is lost, none is there twice."""

import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.collection.conftest import MakeStore
from tests.collection.pairs import some_items
from tests.collection.storm import storm

from palate.collection import CollectionSettings, Store, open_store


@pytest.mark.parametrize(
    ("num_annotators", "num_votes", "num_kills"),
    [(4, 10, 4), pytest.param(20, 200, 20, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def test_no_acknowledged_vote_is_lost(
    tmp_path: Path, num_annotators: int, num_votes: int, num_kills: int
) -> None:
    database = tmp_path / "votes.palate"
    wanted = 3
    settings = CollectionSettings(votes_per_item=wanted, gold_share=0.0, salt="storm")
    with open_store(database, settings=settings) as store:
        store.add_items(some_items(num_annotators * num_votes // wanted + num_annotators + 20))
        people = [store.add_annotator(f"person {n}")[0].id for n in range(num_annotators)]
    acknowledged = storm(database, people, num_votes=num_votes, num_kills=num_kills, seed=0)
    assert len(acknowledged) == num_annotators * num_votes

    with open_store(database) as store, store.reading() as state:
        votes = list(state.votes())
        written = {(s.annotator, s.decision.request): s.decision.seq for s in votes if s.decision}
        assert written == {(one.annotator, one.request): one.event for one in acknowledged}
        assert len(votes) == len(acknowledged)
        labels = Counter((s.annotator, s.item) for s in votes if s.purpose == "label")
        assert set(labels.values()) == {1}
        assert max(state.num_votes(item) for item in range(1, state.num_items + 1)) <= wanted
        assert all(s.is_counted for s in votes if s.purpose == "label")
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_overlap_is_exact_when_many_vote_at_once(make_store: MakeStore) -> None:
    store = make_store(12, votes_per_item=3)
    people = [store.add_annotator(f"person {n}")[0].id for n in range(5)]
    threads = [threading.Thread(target=vote_on_all, args=(store, one)) for one in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as state:
        assert [state.num_votes(item) for item in range(1, 13)] == [3] * 12
        assert not any(s.decision is None for s in state.showings.values())


def vote_on_all(store: Store, annotator: int) -> None:
    """Vote until nothing is left."""
    while questions := store.questions(annotator):
        store.vote(annotator, questions[0].id, "tie")
