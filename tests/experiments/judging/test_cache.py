"""Replies on disk: written before use, whole after a stop, keyed by content."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from palate.errors import DataError, UsageError
from palate.experiments.judging.cache import ReplyCache, request_key
from palate.models.remote import chat
from palate.models.remote_reply import Reply

HELLO = chat([{"role": "user", "content": "hello"}], temperature=0.0)
KEY = request_key("tiny", HELLO)
REPLY = Reply('{"verdict": "A"}\n', "stop", 7, None)


def test_a_reply_is_on_disk_when_put_returns(tmp_path: Path) -> None:
    path = tmp_path / "cache.jsonl"
    with ReplyCache(path) as cache:
        assert cache.get(KEY) is None
        cache.put(KEY, REPLY)
        assert ReplyCache(path).get(KEY) == REPLY  # while the first one is still open
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_key_is_all_that_decides_about_the_answer() -> None:
    others = [
        request_key("other", HELLO),
        request_key("tiny", chat([{"role": "user", "content": "hello"}], temperature=0.5)),
        request_key("tiny", chat([{"role": "user", "content": "Hello"}], temperature=0.0)),
        request_key("tiny", chat([{"role": "system", "content": "hello"}], temperature=0.0)),
    ]
    assert len({KEY, *others}) == 5
    assert request_key("tiny", HELLO) == KEY


def test_a_torn_last_line_is_cut_off_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "cache.jsonl"
    with ReplyCache(path) as cache:
        cache.put(KEY, REPLY)
        cache.put("other", REPLY)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with ReplyCache(path) as cache:
        assert len(cache) == 1
        assert cache.get(KEY) == REPLY
        cache.put("other", REPLY)
    assert path.read_bytes() == whole


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "p"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"pairs.jsonl:1: no line of a cache"):
        ReplyCache(path)
    assert path.read_text(encoding="utf-8") == '{"prompt": "p"}\n'


def test_where_nothing_can_be_kept_nothing_is_used(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(UsageError, match="a reply cannot be kept"):
        ReplyCache(blocked / "cache.jsonl").put(KEY, REPLY)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_stops_the_asking() -> None:
    cache = ReplyCache(None)
    cache._path, cache._file = Path("full"), os.open("/dev/full", os.O_WRONLY)
    with cache, pytest.raises(UsageError, match="No space left"):
        cache.put(KEY, REPLY)


def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A file may not grow beyond two and a half lines: what was kept is whole, the third is not."""
    program = """
import resource, signal, sys
from pathlib import Path
from palate.errors import UsageError
from palate.experiments.judging.cache import ReplyCache
from palate.models.remote_reply import Reply
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
cache = ReplyCache(path)
cache.put("0", Reply("x" * 50, "stop", 1, 1))
resource.setrlimit(resource.RLIMIT_FSIZE, (5 * path.stat().st_size // 2,) * 2)
cache.put("1", Reply("x" * 50, "stop", 1, 1))
try:
    cache.put("2", Reply("x" * 50, "stop", 1, 1))
except UsageError:
    print(len(cache), cache.get("2"))
"""
    path = tmp_path / "cache.jsonl"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "2 None"
    assert path.read_bytes().endswith(b"}\n")
    assert len(ReplyCache(path)) == 2
