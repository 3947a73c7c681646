"""What the rows so far have said, as fingerprints on disk: memory does not grow with the file.

    question   what was compared: the prompt and its responses, in whatever order they stand
    vote       how it was answered: which of the two was chosen, or which label a response got

Texts are compared in their normal form (palate.data.same), prompts of two splits without regard to
case. So equal question and vote is a duplicate, equal question and other vote a contradiction, and
a question that was asked twice tells of label noise. Rows are only appended while reading; SQLite
sorts them afterwards, outside of memory too.
"""

import json
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from palate.data.records import Demonstration, Preference, Prompt
from palate.data.same import leak_key, normal, normal_key
from palate.data.tools import tools_of
from palate.measures.noise import Repeats

_CACHE_KIB = 8 * 1024
_BATCH = 5000


class Repeated(NamedTuple):
    """A row that says something of an earlier one; the places as "file:line"."""

    origin: str
    earlier: str


class Fingerprint(NamedTuple):
    """What a record asks and answers, as 64-bit numbers; `prompt` is of its leak key."""

    prompt: int
    question: int
    vote: int


def fingerprint_of(record: Prompt | Demonstration | Preference) -> Fingerprint:
    """Fingerprint a record: equal for contents that count as the same, on every machine."""
    vote = 1
    responses: list[str] = []
    if isinstance(record, Preference):
        chosen, rejected = normal(record.chosen), normal(record.rejected)
        if chosen == rejected:  # blanks are what this pair is about
            chosen, rejected = record.chosen, record.rejected
        responses = sorted((chosen, rejected))
        vote = int(chosen == responses[0])
    elif isinstance(record, Demonstration):
        responses = [normal(record.response)]
        vote = int(record.desirable is not False)
    tools = json.dumps(tools_of(record.columns), sort_keys=True, default=str)
    question = json.dumps([normal_key(record.prompt), tools, *responses])
    return Fingerprint(_number(leak_key(record.prompt)), _number(question), vote)


class Seen:
    """An index of rows; use it as a context manager.

    Args:
        folder: where its file may stand while it is used; None keeps it in memory (few rows).
    """

    def __init__(self, folder: Path | None = None) -> None:
        name = ":memory:" if folder is None else str(folder / "seen.sqlite3")
        # A scratch file: nothing has to survive a crash, so no journal and no flushing.
        self._rows = sqlite3.connect(name, isolation_level=None)
        self._waiting: list[tuple[int, str, int, int, int, bool]] = []
        self._is_sorted = False
        for line in (
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "PRAGMA temp_store = FILE",
            "CREATE TABLE row (number INTEGER PRIMARY KEY, origin TEXT, prompt INTEGER, "
            "question INTEGER, vote INTEGER, held_out INTEGER)",
        ):
            self._rows.execute(line)

    def __enter__(self) -> "Seen":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()

    def add(
        self,
        number: int,
        record: Prompt | Demonstration | Preference,
        *,
        held_out: bool = False,
    ) -> Fingerprint:
        """Take a row in; `number` is its own alone, `held_out` rows are for evaluation."""
        marks = fingerprint_of(record)
        self._waiting.append((number, record.origin, *marks, held_out))
        if len(self._waiting) >= _BATCH:
            self._flush()
        return marks

    def duplicates(self) -> Iterator[Repeated]:
        """Rows that ask and answer what an earlier row does."""
        return self._repeated("""
            SELECT number, origin, first FROM (
                SELECT number, origin,
                    min(number) OVER (PARTITION BY question, vote) AS first
                FROM row WHERE NOT held_out)
            WHERE number > first ORDER BY number""")

    def contradictions(self) -> Iterator[Repeated]:
        """Rows that answer an earlier row's question the other way."""
        return self._repeated("""
            SELECT r.number, r.origin, min(o.number) AS first
            FROM (SELECT question FROM row WHERE NOT held_out
                  GROUP BY question HAVING min(vote) < max(vote)) AS both
            JOIN row AS r ON r.question = both.question AND NOT r.held_out
            JOIN row AS o ON o.question = both.question AND NOT o.held_out AND o.vote != r.vote
            GROUP BY r.number HAVING first < r.number ORDER BY r.number""")

    def overlaps(self) -> Iterator[Repeated]:
        """Held-out rows whose prompt is trained on; `earlier` is a training row."""
        return self._repeated("""
            SELECT e.number, e.origin, min(t.number) FROM row AS e
            JOIN row AS t ON t.prompt = e.prompt AND NOT t.held_out
            WHERE e.held_out GROUP BY e.number ORDER BY e.number""")

    def overlapped(self) -> Iterator[Repeated]:
        """Training rows whose prompt is held out; `earlier` is an evaluation row."""
        return self._repeated("""
            SELECT t.number, t.origin, min(e.number) FROM row AS t
            JOIN row AS e ON e.prompt = t.prompt AND e.held_out
            WHERE NOT t.held_out GROUP BY t.number ORDER BY t.number""")

    def repeats(self) -> Iterator[Repeats]:
        """Questions that were asked more than once, with how often they were answered each way."""
        self._sort()
        for one_way, other_way in self._rows.execute(
            "SELECT sum(vote), sum(NOT vote) FROM row WHERE NOT held_out "
            "GROUP BY question HAVING count(*) > 1 ORDER BY min(number)"
        ):
            yield Repeats(one_way, other_way)

    def num_prompts(self) -> int:
        """Number of distinct prompts that are not held out."""
        self._sort()
        query = "SELECT count(DISTINCT prompt) FROM row WHERE NOT held_out"
        return int(self._rows.execute(query).fetchone()[0])

    def origin_of(self, number: int) -> str:
        """The place of a row that was taken in."""
        query = "SELECT origin FROM row WHERE number = ?"
        return str(self._rows.execute(query, (number,)).fetchone()[0])

    def question_of(self, number: int) -> int:
        """The question of a row that was taken in."""
        query = "SELECT question FROM row WHERE number = ?"
        return int(self._rows.execute(query, (number,)).fetchone()[0])

    def prompt_of(self, number: int) -> int:
        """The prompt of a row that was taken in, without regard to case."""
        query = "SELECT prompt FROM row WHERE number = ?"
        return int(self._rows.execute(query, (number,)).fetchone()[0])

    def _repeated(self, query: str) -> Iterator[Repeated]:
        self._sort()
        for _, origin, first in self._rows.execute(query):
            yield Repeated(origin, self.origin_of(first))

    def _flush(self) -> None:
        self._rows.execute("BEGIN")
        self._rows.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?)", self._waiting)
        self._rows.execute("COMMIT")
        self._waiting.clear()

    def _sort(self) -> None:
        self._flush()
        if not self._is_sorted:
            self._rows.execute("CREATE INDEX by_question ON row (question, vote, number, held_out)")
            self._rows.execute("CREATE INDEX by_prompt ON row (prompt, held_out)")
            self._is_sorted = True


def _number(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
