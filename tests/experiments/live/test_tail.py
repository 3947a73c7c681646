"""A file that grows, is torn, cut, replaced, removed, or is no file at all."""

import os
from pathlib import Path

import pytest

from palate.experiments.live import tail
from palate.experiments.live.tail import Gained, Tail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_only_whole_lines_and_each_once(path: Path) -> None:
    follow = Tail(path)
    assert follow.read() == Gained()  # not there yet
    append(path, b'{"step": 1}\n{"st')
    assert follow.read().lines == b'{"step": 1}\n'
    assert follow.read() == Gained()
    append(path, b'ep": 2}')
    assert follow.read() == Gained()
    append(path, b"\n")
    assert follow.read().lines == b'{"step": 2}\n'


def test_a_file_that_is_gone_is_no_reason_to_forget(path: Path) -> None:
    follow = Tail(path)
    append(path, b"1\n")
    follow.read()
    path.unlink()
    assert follow.read() == Gained()
    append(path, b"9\n")
    os.utime(path, ns=(0, 10**9))
    assert follow.read() == Gained(b"9\n", anew=True)


def test_what_a_resumed_run_does_begins_anew(path: Path) -> None:
    follow = Tail(path)
    append(path, b"1\n2\n3\n")
    follow.read()
    draft = path.with_suffix(".tmp")
    draft.write_bytes(b"1\n2\n")
    draft.replace(path)
    assert follow.read() == Gained(b"1\n2\n", anew=True)


@pytest.mark.parametrize("after", [b"1\n", b"1\n2\n3\n", b"1\n4\n5\n6\n7\n"])
def test_a_cut_in_place_is_noticed_however_long_the_file_is_then(path: Path, after: bytes) -> None:
    follow = Tail(path)
    append(path, b"8\n8\n8\n")
    follow.read()
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(after)
    os.utime(path, ns=(0, 10**9))  # another time than before, however coarse the clock is
    gained = follow.read()
    assert gained.anew
    append(path, b"0\n")
    lines = gained.lines
    while (gained := follow.read()).lines or gained.anew:
        lines = gained.lines if gained.anew else lines + gained.lines
    assert lines == after + b"0\n"


def test_a_long_file_comes_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MOST_BYTES", 10)
    append(path, b"".join(b"%d\n" % n for n in range(100, 120)))
    follow, pieces = Tail(path), []
    while (gained := follow.read()).more:
        pieces.append(gained.lines)
    assert all(len(piece) <= 10 and piece.endswith(b"\n") for piece in pieces)
    assert b"".join([*pieces, gained.lines]) == path.read_bytes()


def test_an_endless_line_is_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MOST_BYTES", 64)
    monkeypatch.setattr(tail, "LONGEST_LINE", 32)
    append(path, b"1\n" + b"x" * 1000 + b"\n2\n")
    follow, found = Tail(path), b""
    while (gained := follow.read()).more:
        found += gained.lines
    assert found + gained.lines == b"1\n2\n"


def test_links_pipes_and_folders_are_not_read(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"1\n")
    path.symlink_to(tmp_path / "secret")
    assert Tail(path).read() == Gained()
    path.unlink()
    os.mkfifo(path)
    assert Tail(path).read() == Gained()
    path.unlink()
    path.mkdir()
    assert Tail(path).read() == Gained()
