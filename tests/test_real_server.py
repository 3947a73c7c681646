"""A real model behind a real server: `transformers serve` with the stories model, on loopback.

Skipped where the shared data or what the server needs (the dev extra) is absent. Run by
`make real-server`: starting the server takes half a minute.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Palate, palate, write_rows

__all__ = ["palate"]


@pytest.fixture(scope="module")
def server(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi, uvicorn and openai")
    pytest.importorskip("openai", reason="transformers serve needs fastapi, uvicorn and openai")
    folder = tmp_path_factory.mktemp("serve")
    shutil.copytree(shared_data / "stories260k", folder / "stories")
    config = folder / "stories" / "tokenizer_config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    # The model knows no conversations; a template of bare text lets it be asked all the same.
    settings["chat_template"] = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    config.write_text(json.dumps(settings), encoding="utf-8")
    # The server draws only where the model's own generation settings say so.
    generation = folder / "stories" / "generation_config.json"
    drawn = {**json.loads(generation.read_text(encoding="utf-8")), "do_sample": True}
    generation.write_text(json.dumps(drawn), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [Path(sys.executable).with_name("transformers"), "serve", "./stories", "--host",
         "127.0.0.1", "--port", str(port), "--device", "cpu"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(240):
        assert process.poll() is None, "transformers serve ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError("transformers serve did not answer in two minutes")


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_sample_and_judge_with_a_real_model(palate: Palate, server: str, tmp_path: Path) -> None:
    prompts = write_rows(
        tmp_path / "prompts.jsonl",
        [{"prompt": "Once upon a time, there was a"}, {"prompt": "One day, a big dog"}],
    )
    samples, pairs = tmp_path / "samples.jsonl", tmp_path / "pairs.jsonl"
    said = palate(
        "sample", "--model", "./stories", "--base-url", server, "--prompts", prompts,
        "--num-samples", 2, "--temperature", 0, "--temperature", 1, "--max-new-tokens", 12,
        "--output", samples, "--concurrency", 2,
    )  # fmt: skip
    assert said.code == 0, said.err
    rows = rows_of(samples)
    # Greedy, as the model's publishers show it.
    assert rows[0]["responses"][0]["text"].strip().startswith("little girl named Lily")
    assert all(one["stopped"] is False for row in rows for one in row["responses"])

    # Cut responses take no part, so they are judged as texts.
    whole = [{**r, "responses": [one["text"] for one in r["responses"]]} for r in rows]
    write_rows(samples, whole)
    card = tmp_path / "card.yaml"
    card.write_text(
        f"model: ./stories\nbase_url: {server}\nmax_tokens: 8\nparse_retries: 1\n"
        "concurrency: 2\n", encoding="utf-8",
    )  # fmt: skip
    command = ["judge", "--samples", samples, "--by", f"judge:{card}", "--output", pairs, "--json"]
    said = palate(*command)
    # A model of stories says no verdict that could be read: nothing is made up of it.
    assert said.code == 2, said.err
    assert (said.json["pairs"], said.json["unjudged"]) == (0, 2)
    assert said.json["audit"]["unparsed_rate"] == 1.0
    assert said.json["cost"]["calls"] == 8
    assert said.json["cost"]["completion_tokens"] > 0
    again = palate(*command, "--overwrite")
    assert again.json["cost"]["calls"] == 0
