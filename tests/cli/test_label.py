"""`palate label` as a person runs it: a link, votes, Ctrl-C, and again; and what it refuses."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.cli.conftest import Palate, some_pairs, write_rows
from tests.web.conftest import Client

PROGRAM = [sys.executable, "-c", "import sys; from palate.cli.app import main; sys.exit(main())"]


@contextmanager
def labelling(*arguments: object) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """The command in a process of its own, and what it said when it began."""
    words = [*PROGRAM, "label", *map(str, arguments), "--no-browser", "--port", "0", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:  # closes its pipes
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def signed_in(link: str) -> Client:
    parts = urlsplit(link)
    assert parts.port is not None
    client = Client(parts.port)
    client.cookie = client.ask("GET", f"/?{parts.query}").headers["set-cookie"].partition(";")[0]
    page = client.ask("GET", "/").body.decode()
    client.token = page.partition('name="palate-token" content="')[2].partition('"')[0]
    return client


def vote(client: Client, request: str) -> dict[str, Any]:
    [question, *_] = client.post("/api/questions", {"have": []}).json["questions"]
    content = {"question": question["id"], "choice": "left", "latency_ms": 9, "have": []}
    answer = client.post("/api/decisions", {**content, "request": request})
    assert answer.status == 200
    found: dict[str, Any] = answer.json["standing"]
    return found


def test_votes_outlive_the_command_and_no_secret_is_left_in_its_words(tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", some_pairs(9))
    started = time.monotonic()
    with labelling(pairs, "--annotator", "ben", "--admin", "ann") as (process, opened):
        assert set(opened["links"]) == {"ann", "ben"}
        assert (opened["num_items"], opened["num_added"]) == (9, 9)
        assert vote(signed_in(opened["links"]["ann"]), "a")["done"] == 1
        assert vote(signed_in(opened["links"]["ben"]), "b")["done"] == 2
        assert time.monotonic() - started < 60  # from the command to the first votes
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert out == ""
    assert err == "ended; every vote that was cast is saved\n"
    with labelling(pairs, "--admin", "ann") as (process, again):
        assert again["num_added"] == 0
        client = signed_in(again["links"]["ben"])
        assert vote(client, "c")["done"] == 3
        process.kill()
        process.wait()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            vote(client, "d")
    with labelling(pairs, "--admin", "ann") as (process, third):
        assert vote(signed_in(third["links"]["ann"]), "e")["done"] == 4
        process.terminate()
        assert process.wait(10) == 0


def test_a_second_command_on_the_same_votes_is_refused(tmp_path: Path, palate: Palate) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", some_pairs(2))
    with labelling(pairs):
        said = palate("label", pairs, "--no-browser", "--port", 0)
    assert said.code == 2
    assert "another program collects votes" in said.error


def test_what_cannot_be_served_is_told_in_one_line(tmp_path: Path, palate: Palate) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", some_pairs(2))
    empty = tmp_path / "empty.md"
    empty.write_text(" \n")
    cases = {
        "no such file": ("label", tmp_path / "none.jsonl"),
        "--share-as": ("label", pairs, "--host", "0.0.0.0"),
        "a port is a number": ("label", pairs, "--port", 99999),
        "has 2 characters": ("label", pairs, "--guidelines", empty),
        "cannot be read": ("label", pairs, "--guidelines", tmp_path / "none.md"),
        "a name has 1 to 100": ("label", pairs, "--port", 0, "--annotator", "", "--no-browser"),
        "votes_per_item is 0": ("label", pairs, "--port", 0, "--votes-per-item", 0, "--no-browser"),
    }
    for words, arguments in cases.items():
        said = palate(*arguments)
        assert said.code == 2, words
        assert words in said.error
