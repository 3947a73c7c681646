"""`palate label` itself is killed again and again while people vote by its page's addresses."""

import json
import multiprocessing
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from tests.web.conftest import Client

from palate.collection import open_store

WANTED = 3
PROGRAM = "import sys; from palate.cli.app import main; sys.exit(main(sys.argv[1:]))"
_IMPATIENCE = 0.05  # seconds until a program that got no answer asks again
_PROCESSES = multiprocessing.get_context("fork")


class Command:
    """`palate label` in a process of its own, on one port for as often as it is started."""

    def __init__(self, folder: Path, names: list[str], num_pairs: int) -> None:
        data = folder / "pairs.jsonl"
        rows = [
            {"prompt": f"p{i}", "chosen": f"a{i}", "rejected": f"b{i}"} for i in range(num_pairs)
        ]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.database = folder / "votes.sqlite"
        self._arguments = [
            sys.executable, "-c", PROGRAM, "label", str(data), "--votes", str(self.database),
            "--port", str(self.port), "--no-browser", "--json", "--votes-per-item", str(WANTED),
            *(word for name in names for word in ("--annotator", name)),
        ]  # fmt: skip
        self.links = self.start()

    def start(self) -> dict[str, Any]:
        """Start it; returns what it prints once it listens."""
        self._process = subprocess.Popen(
            self._arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def kill(self) -> None:
        """Stop it without a chance to tidy up."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def sign_in(port: int, link: str) -> Client:
    """A program with the cookie and token that a browser would have."""
    client, parts = Client(port), urlsplit(link)
    client.cookie = client.ask("GET", f"{parts.path}?{parts.query}").headers["set-cookie"]
    client.cookie = client.cookie.partition(";")[0]
    page = client.ask("GET", "/").body.decode()
    client.token = page.partition('name="palate-token" content="')[2].partition('"')[0]
    return client


def persist(client: Client, path: str, content: dict[str, Any]) -> Any:
    """Ask until there is an answer."""
    while True:
        try:
            answer = client.post(path, content)
        except (OSError, HTTPException):
            time.sleep(_IMPATIENCE)
            continue
        if answer.status == 200:
            return answer.json
        assert answer.status >= 500, answer.body
        time.sleep(_IMPATIENCE)


def annotate(client: Client, seed: int, num_votes: int, report: Path) -> None:
    """Vote so often, and write down the name of each vote that was acknowledged."""
    generator = np.random.default_rng(seed)
    with report.open("a", encoding="ascii", buffering=1) as file:
        for number in range(num_votes):
            [question, *_] = persist(client, "/api/questions", {"have": []})["questions"]
            content = {
                "question": question["id"],
                "choice": ("left", "right", "tie", "both_bad")[generator.integers(4)],
                "latency_ms": 3000,
                "request": f"vote {number}",
                "have": [],
            }
            persist(client, "/api/decisions", content)
            file.write(f"vote {number}\n")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("num_people", "num_votes", "num_kills"), [(4, 20, 4), (20, 200, 20)])
def test_no_acknowledged_vote_is_lost(
    tmp_path: Path, num_people: int, num_votes: int, num_kills: int
) -> None:
    names = [f"person-{n}" for n in range(num_people)]
    command = Command(tmp_path, names, num_people * num_votes // WANTED + num_people + 40)
    links = command.links["links"]
    reports = {name: tmp_path / f"{name}.txt" for name in names}
    people = []
    for seed, name in enumerate(names):
        reports[name].touch()
        client = sign_in(command.port, links[name])
        people.append(
            _PROCESSES.Process(target=annotate, args=(client, seed, num_votes, reports[name]))
        )
    for one in people:
        one.start()

    def done() -> int:
        return sum(path.read_bytes().count(b"\n") for path in reports.values())

    total = num_people * num_votes
    try:
        for kill in range(num_kills):
            while done() < total * (kill + 1) / (num_kills + 2):
                time.sleep(0.01)
                assert any(one.is_alive() for one in people)
            command.kill()
            command.start()
        for one in people:
            one.join()
            assert one.exitcode == 0
    finally:
        command.kill()
        for one in people:
            one.kill()

    acknowledged = {
        (name, request) for name in names for request in reports[name].read_text().splitlines()
    }
    assert len(acknowledged) == total
    with open_store(command.database, read_only=True) as store, store.reading() as state:
        called = {one.id: one.name for one in store.annotators()}
        votes = list(state.votes())
        written = [(called[s.annotator], s.decision.request) for s in votes if s.decision]
        assert len(written) == len(set(written)) == total
        assert set(written) == acknowledged
        labels = Counter((s.annotator, s.item) for s in votes if s.purpose == "label")
        assert set(labels.values()) == {1}
        assert max(state.num_votes(item) for item in range(1, state.num_items + 1)) <= WANTED
    connection = sqlite3.connect(command.database)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
