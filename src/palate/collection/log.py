"""The log on disk: append in one transaction, read what is new, keep the state that follows.

A transaction that fails leaves the database and the state as they were; what `writing` has left
without an error is on the disk.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import IO

from palate.collection import schema
from palate.collection.events import START, Event, Side, check_chain, hash_of
from palate.collection.items import Item, digest_of, prompt_from_json, prompt_to_json
from palate.collection.lock import take_lock
from palate.collection.questions import Card
from palate.collection.state import State
from palate.errors import StoreError

_COLUMNS = [f.name for f in fields(Event)]
_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM events"


class Log:
    """An open database; safe to use from several threads.

    Args:
        path: of the file; made where it is missing, unless `read_only`.
        read_only: look on while another program writes.
        clock: seconds since 1970.

    Raises:
        StoreError: it cannot be opened, or its chain of hashes is broken.
    """

    def __init__(self, path: Path, *, read_only: bool, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._mutex = threading.RLock()
        self._state = State()
        self._lock: IO[str] | None = None
        if read_only:
            if not path.is_file():
                raise StoreError(f"{path}: there is no such database; `palate label` makes one")
            self._connection = schema.connect(path, read_only=True)
            if schema.version_of(self._connection) == schema.VERSION:
                return
            self._connection.close()  # of an older version: make it new first
        self._lock = take_lock(path)
        try:
            self._connection = schema.connect(path)
            schema.migrate(self._connection, path)
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """End; the database may then be opened by another program."""
        with self._mutex:
            self._connection.close()
            if self._lock is not None:
                self._lock.close()

    def now(self) -> float:
        """Seconds since 1970, never before the last line of the log (clocks are set back)."""
        last = self._state.last
        return max(self._clock(), last.time if last else 0.0)

    @contextmanager
    def reading(self) -> Iterator[State]:
        """The state after every line that is on the disk; not to be changed or kept."""
        with self._mutex, schema.explained(self.path):
            self._catch_up()
            yield self._state

    @contextmanager
    def writing(self) -> Iterator[State]:
        """A transaction: what is appended inside is written as a whole at its end, or not at all.

        Raises:
            StoreError: it cannot be written; nothing was.
        """
        with self._mutex, schema.explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            before = self._state.last
            try:
                self._catch_up()
                before = self._state.last
                yield self._state
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if self._state.last is not before:
                    self._state = State()  # it saw lines that are not there; read again from disk
                raise

    def append(self, event: Event, *, app_version: str) -> Event:
        """Add a line inside `writing`; gives it back with its place, time and hash."""
        last = self._state.last
        placed = replace(
            event,
            app_version=app_version,
            seq=last.seq + 1 if last else 1,
            time=self.now(),
            previous=last.digest if last else START,
        )
        placed = replace(placed, digest=hash_of(placed))
        row = [getattr(placed, name) for name in _COLUMNS]
        row[_COLUMNS.index("content")] = json.dumps(placed.content)
        self._connection.execute(_INSERT, row)
        self._state.apply(placed)
        return placed

    def events(self, *, after: int = 0) -> Iterator[Event]:
        """Lines of the log in order, those after place `after`."""
        for row in self._connection.execute(f"{_SELECT} WHERE seq > ? ORDER BY seq", (after,)):
            yield _event(row)

    def event_of_request(self, annotator: int, request: str) -> Event | None:
        """The line that a request of an annotator has made; None where it made none."""
        found = self._connection.execute(
            f"{_SELECT} WHERE annotator = ? AND request = ?", (annotator, request)
        ).fetchone()
        return None if found is None else _event(found)

    def add_item(self, item_id: int, item: Item) -> bool:
        """Add a pair inside `writing`; false where it is there already."""
        prompt, tags = prompt_to_json(item.prompt), json.dumps(item.tags, ensure_ascii=False)
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (item_id, item.key, prompt, item.first, item.second, item.source, item.name, tags,
             item.gold, item.margin),
        )  # fmt: skip
        return cursor.rowcount == 1

    def items(self, ids: Sequence[int] | None = None) -> Iterator[tuple[int, Item]]:
        """Pairs by id, in order; all of them, or those named."""
        select = "SELECT id, prompt, first, second, source, name, tags, gold, margin FROM items"
        if ids is None:
            rows: Iterator[sqlite3.Row] = self._connection.execute(f"{select} ORDER BY id")
            yield from map(_item, rows)
            return
        for item_id in ids:
            found = self._connection.execute(f"{select} WHERE id = ?", (item_id,)).fetchone()
            if found is None:
                raise StoreError(f"{self.path}: pair {item_id} is missing; go back to a backup")
            yield _item(found)

    def cards(self) -> list[Card]:
        """What choosing needs to know of all pairs, without their texts."""
        rows = self._connection.execute(
            "SELECT id, key, gold, margin, length(first) - length(second) FROM items ORDER BY id"
        )
        return [
            Card(item, key, gold, margin, longer=_longer(excess))
            for item, key, gold, margin, excess in rows
        ]

    def check_items(self) -> None:
        """Find out whether the texts are those that were imported.

        Raises:
            StoreError: they are not.
        """
        with self.reading():
            items = self.items()
            rows = self._connection.execute(f"{_SELECT} WHERE kind = 'import' ORDER BY seq")
            for event in map(_event, rows):
                first, last = event.content["first"], event.content["last"]
                known = (item.key for _, item in islice(items, last - first + 1))
                if digest_of(known) != event.content["digest"]:
                    raise StoreError(
                        f"{self.path}: pairs {first} to {last} are not what was imported: somebody "
                        "changed the database by hand, or the disk did; go back to a backup"
                    )

    def _catch_up(self) -> None:
        last = self._state.last
        fresh = list(self.events(after=last.seq if last else 0))
        check_chain(fresh, after=last)
        for event in fresh:
            self._state.apply(event)


def _event(row: Sequence[object]) -> Event:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["content"] = json.loads(str(values["content"]))
    return Event(**values)  # type: ignore[arg-type]  # the table's columns are the fields


def _longer(excess: int) -> Side | None:
    if excess == 0:
        return None
    return "first" if excess > 0 else "second"


def _item(row: Sequence[object]) -> tuple[int, Item]:
    item_id, prompt, first, second, source, name, tags, gold, margin = row
    item = Item(
        prompt_from_json(str(prompt)), str(first), str(second), str(source), str(name),
        tuple(json.loads(str(tags))), gold, margin,  # type: ignore[arg-type]  # checked when added
    )  # fmt: skip
    return int(item_id), item  # type: ignore[call-overload]
