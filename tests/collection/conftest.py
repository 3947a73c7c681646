"""Stores of a few pairs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.collection.pairs import Clock, some_items

from palate.collection import CollectionSettings, Store, open_store

MakeStore = Callable[..., Store]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is told to go on."""
    return Clock()


@pytest.fixture
def make_store(tmp_path: Path, clock: Clock) -> Iterator[MakeStore]:
    """Make a store of so many pairs; settings by name, no tests of annotators unless asked for."""
    opened: list[Store] = []

    def make(num_items: int = 4, **settings: Any) -> Store:
        plain = {"repeat_share": 0.0, "gold_share": 0.0, "salt": "test", **settings}
        path = tmp_path / f"votes-{len(opened)}.palate"
        store = open_store(path, settings=CollectionSettings(**plain), clock=clock)
        store.add_items(some_items(num_items))
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()
