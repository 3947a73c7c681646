"""The database file: versions, damage, locks, a full disk, changes by hand."""

import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.collection.conftest import MakeStore
from tests.collection.pairs import Clock, some_items

from palate.collection import CollectionSettings, open_store
from palate.collection.schema import VERSION
from palate.errors import StoreError, UsageError

OLD = Path(__file__).parent / "fixtures" / "version-1.palate"
SETTINGS = CollectionSettings(salt="test", repeat_share=0.0, gold_share=0.0)


def change(path: Path, *statements: str) -> None:
    """Change a database by hand, as its owner can."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let writes beyond a size fail, as they do on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_of_version_1_is_brought_up_to_date(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "old.palate"
    shutil.copy(OLD, path)
    with open_store(path, read_only=read_only) as store:
        report, progress = store.quality(), store.progress(1)
        assert (report.num_votes, report.num_contested) == (10, 2)
        assert (progress.num_items, progress.num_complete, progress.num_skipped) == (6, 5, 1)
        assert store.guidelines() == (1, "Prefer the true one.")
        # One pair was decided by the adjudicator, one ended in "tie" against a side.
        export = store.export(rule="majority")
        assert len(export.rows) == 4
        assert export.left_out == {"disagreement": 1, "flagged": 1}
    copy = sqlite3.connect(tmp_path / "old.palate.version-1")
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    assert copy.execute("SELECT count(*) FROM events").fetchone() == (32,)
    copy.close()
    with open_store(path) as store:  # and goes on
        bea = next(one for one in store.annotators() if one.name == "bea")
        assert len(store.questions(bea.id)) == 1


def test_every_step_from_empty_is_this_version(tmp_path: Path) -> None:
    path = tmp_path / "new.palate"
    open_store(path).close()
    assert not list(tmp_path.glob("*.version-*"))
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.palate"
    open_store(path, settings=SETTINGS).close()
    change(path, f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"newer Palate .version {VERSION + 1}.*update Palate"):
        open_store(path)
    assert path.read_bytes() == before


def test_what_is_no_database_of_votes_is_refused(tmp_path: Path) -> None:
    text, other, folder = tmp_path / "a.txt", tmp_path / "other.db", tmp_path / "folder"
    text.write_text("not a database, but long enough to look at " * 50, encoding="ascii")
    change(other, "CREATE TABLE songs (name TEXT)")
    folder.mkdir()
    with pytest.raises(StoreError, match="no database, or a damaged one"):
        open_store(text)
    with pytest.raises(StoreError, match="of another program"):
        open_store(other)
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(folder)
    with pytest.raises(StoreError, match="there is no such database"):
        open_store(tmp_path / "missing", read_only=True)
    with pytest.raises(StoreError, match="cannot be written"):
        open_store(tmp_path / "no folder" / "votes")


def test_lines_and_pairs_cannot_be_changed_by_mistake(
    make_store: MakeStore, tmp_path: Path
) -> None:
    make_store(2).close()
    path = next(tmp_path.glob("*.palate"))
    for statement in (
        "UPDATE events SET choice = 'left'", "DELETE FROM events",
        "UPDATE items SET first = 'x'", "DELETE FROM items",
    ):  # fmt: skip
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            change(path, statement)


def test_a_log_that_was_changed_on_purpose_is_found_out(tmp_path: Path) -> None:
    for statement in (
        "UPDATE events SET choice = 'right' WHERE seq = 12",
        "DELETE FROM events WHERE seq = 12",
        "UPDATE events SET time = time - 1 WHERE seq = 12",
    ):
        path = tmp_path / "votes.palate"
        shutil.copy(OLD, path)
        change(path, statement)
        with pytest.raises(StoreError, match="event 12 of the log is not what was written"):
            open_store(path)


def test_texts_that_were_changed_on_purpose_are_found_out(tmp_path: Path) -> None:
    path = tmp_path / "votes.palate"
    shutil.copy(OLD, path)
    change(path, "UPDATE items SET first = 'better' WHERE id = 3")
    with pytest.raises(StoreError, match="pairs 1 to 6 are not what was imported"):
        open_store(path)


def test_a_second_program_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "votes.palate"
    code = (
        "import sys, time\nfrom palate.collection import open_store\n"
        "store = open_store(sys.argv[1])\nprint('open', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=rf"another program collects.*process {other.pid}"):
            open_store(path)
        with open_store(path, read_only=True) as store:  # looking on is allowed
            assert store.annotators() == []
        other.kill()
        other.wait()
        open_store(path).close()


def test_another_name_of_the_same_database_lets_no_second_program_in(tmp_path: Path) -> None:
    path, link = tmp_path / "votes.palate", tmp_path / "link.palate"
    link.symlink_to(path.name)
    with (
        open_store(path, settings=SETTINGS),
        pytest.raises(StoreError, match=r"link.palate: another program collects"),
    ):
        open_store(link)
    link.unlink()
    link.symlink_to(link.name)  # to itself
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(link)


def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "songs.db"
    change(path, "CREATE TABLE songs (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="of another program"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_log_that_breaks_while_it_is_open_leaves_no_transaction_behind(tmp_path: Path) -> None:
    path = tmp_path / "votes.palate"
    with open_store(path, settings=SETTINGS) as store:
        ann, _ = store.add_annotator("ann")
        columns = (
            "time, annotator, item, question, guideline_version, app_version, request, content"
        )
        change(
            path,
            f"INSERT INTO events (seq, kind, previous, digest, {columns}) "
            f"SELECT seq + 1, kind, 'wrong', digest, {columns} FROM events "
            "ORDER BY seq DESC LIMIT 1",
        )
        for _ in range(2):
            with pytest.raises(StoreError, match="changed the database by hand"):
                store.questions(ann.id)
        change(path, "DROP TRIGGER events_remain")  # others may write


def test_a_full_disk_loses_nothing_and_says_so(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(40)
    ann, _ = store.add_annotator("ann")
    path = next(tmp_path.glob("*.palate"))
    acknowledged: list[int] = []

    def fill_the_disk() -> None:
        while True:
            question = store.questions(ann.id)[0]
            store.vote(ann.id, question.id, "tie", request=str(len(acknowledged)))
            acknowledged.append(len(acknowledged))
            store.note(ann.id, question.id, "long words " * 900)

    with files_of_at_most(150_000):  # bytes
        with pytest.raises(StoreError, match="the disk may be full; nothing that was acknowledged"):
            fill_the_disk()
        assert acknowledged
        assert store.progress(ann.id).num_mine == len(acknowledged)
    store.questions(ann.id)
    with store.reading() as state:
        said = [s.decision.request for s in state.votes() if s.decision]
    assert said == [str(number) for number in acknowledged]
    store.close()
    with open_store(path) as again:
        assert again.progress(ann.id).num_mine == len(acknowledged)


def test_time_never_runs_back_in_the_log(make_store: MakeStore, clock: Clock) -> None:
    store = make_store(3)
    ann, _ = store.add_annotator("ann")
    store.vote(ann.id, store.questions(ann.id)[0].id, "tie")
    clock.wait(-3600)
    question = store.questions(ann.id)[0]
    assert not store.vote(ann.id, question.id, "tie").is_late
    with store.reading() as state:
        times = [s.decision.time for s in state.votes() if s.decision]
    assert times == sorted(times)


def test_a_refused_act_leaves_no_trace(make_store: MakeStore) -> None:
    store = make_store(2)
    ann, _ = store.add_annotator("ann")
    with store.reading() as state:
        before = state.last
    with pytest.raises(UsageError):
        store.vote(ann.id, 999, "left")
    with store.reading() as state:
        assert state.last == before


def test_the_copy_beside_the_database_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "a folder with ünïcode?#" / "votes.palate"
    path.parent.mkdir()
    with open_store(path, settings=SETTINGS) as store:
        assert store.add_items(some_items(2)) == 2
    with open_store(path, read_only=True) as store:
        assert store.settings == SETTINGS
