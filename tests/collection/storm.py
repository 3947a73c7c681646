"""A server of votes, annotators in processes of their own, and somebody who kills the server."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from palate.collection import Store, open_store

_PROCESSES = multiprocessing.get_context("fork")
_IMPATIENCE = 0.02  # seconds until a client that got no answer asks again


@dataclass(frozen=True)
class Acknowledged:
    """A vote that an annotator was told is written."""

    annotator: int
    request: str
    event: int


def serve(database: Path, address: str) -> None:
    """Answer questions and votes until killed."""
    store = open_store(database)
    Path(address).unlink(missing_ok=True)
    with Listener(address, family="AF_UNIX", backlog=64) as listener:
        while True:
            threading.Thread(target=_answer, args=(store, listener.accept()), daemon=True).start()


def _answer(store: Store, connection: Connection) -> None:
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            verb, *rest = connection.recv()
            if verb == "questions":
                connection.send([question.id for question in store.questions(*rest, count=2)])
            else:
                annotator, question, choice, request = rest
                receipt = store.vote(annotator, question, choice, request=request)
                connection.send(receipt.event)


class _Line:
    """Connects and asks again until there is an answer."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection | None = None

    def ask(self, *message: object) -> object:
        while True:
            try:
                if self._connection is None:
                    self._connection = Client(self._address, family="AF_UNIX")
                self._connection.send(message)
                return self._connection.recv()
            except (OSError, EOFError):
                self._connection = None
                time.sleep(_IMPATIENCE)


def annotate(address: str, annotator: int, num_votes: int, report: Path) -> None:
    """Vote so often, with a name for each vote, and write down what was acknowledged."""
    line, generator = _Line(address), np.random.default_rng(annotator)
    with report.open("a", encoding="ascii", buffering=1) as file:
        for number in range(num_votes):
            questions = line.ask("questions", annotator)
            assert isinstance(questions, list)
            choice = ("left", "right", "tie", "both_bad")[generator.integers(4)]
            request = f"vote {number}"
            event = line.ask("vote", annotator, questions[0], choice, request)
            file.write(json.dumps([annotator, request, event]) + "\n")


def storm(
    database: Path, annotators: Sequence[int], *, num_votes: int, num_kills: int, seed: int
) -> list[Acknowledged]:
    """Let annotators vote while the server is killed again and again.

    Returns:
        All votes that were acknowledged.
    """
    generator = np.random.default_rng(seed)
    folder = database.parent
    address = str(folder / "socket")
    reports = [folder / f"annotator-{one}.jsonl" for one in annotators]
    for report in reports:
        report.touch()
    server = _start(serve, database, address)
    people = [
        _start(annotate, address, one, num_votes, report)
        for one, report in zip(annotators, reports, strict=True)
    ]
    total = num_votes * len(annotators)
    try:
        for kill in range(num_kills):
            while _count(reports) < total * (kill + 1) / (num_kills + 2):
                time.sleep(0.005)
                assert any(one.is_alive() for one in people)
            time.sleep(generator.uniform(0, 0.05))
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            server.join()
            server = _start(serve, database, address)
        for one in people:
            one.join()
            assert one.exitcode == 0
    finally:
        for process in (*people, server):
            process.kill()
            process.join()
    return [
        Acknowledged(*json.loads(line))
        for report in reports
        for line in report.read_text(encoding="ascii").splitlines()
    ]


def _start(target: object, *arguments: object) -> BaseProcess:
    process = _PROCESSES.Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    return process


def _count(reports: Sequence[Path]) -> int:
    return sum(report.read_bytes().count(b"\n") for report in reports)
