"""`palate watch` as a person runs it: a link, runs, Ctrl-C; and what it refuses."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Palate
from tests.cli.test_label import PROGRAM, signed_in


def test_the_printed_link_shows_the_runs_until_ctrl_c(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    words = [*PROGRAM, "watch", str(tmp_path), "--no-browser", "--port", "0", "--json"]
    assert words[0] == sys.executable
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["num_runs"] == 1
        client = signed_in(said["link"])
        answer = client.post("/api/look", {"shown": [0], "have": [0]})
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    [found] = answer.json["runs"]
    assert (found["name"], found["curves"]["loss"]["mean"]) == ("run", [0.5])
    assert (process.returncode, told) == (0, b"")
    assert {path.name for path in run.iterdir()} == {"metrics.jsonl"}  # only read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'RUN"),
        (("gone",), "gone: no such folder; give a run folder"),
        (("file",), "file: a file; name its folder"),
        ((".", "--host", "0.0.0.0"), "--share-as http://NAME:PORT"),
        ((".", "--port", "70000"), "a port is a number from 0 to 65535"),
    ],
)
def test_what_it_refuses(
    palate: Palate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    said = palate("watch", *arguments)
    assert said.code == 2
    assert message in said.error
