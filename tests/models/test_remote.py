"""The HTTP client against a real server that injects faults: every one has a name and an end."""

import json
import logging
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from tests.models import fault_server
from tests.models.fault_server import Answer, failed, said, serving

from palate.errors import RemoteError, UsageError
from palate.models.endpoint import Endpoint, Secret, read_key
from palate.models.remote import (
    MAX_FAILURES_IN_A_ROW,
    Patience,
    RemoteClient,
    Request,
    chat,
    completion,
)
from palate.models.remote_reply import Reply

QUICK = Patience(timeout=0.4, max_retries=2, first_wait=0.02, max_wait=1.5, concurrency=4)
HELLO = chat([{"role": "user", "content": "hello"}], temperature=0.0)
CANARY = "sk-canary-4711"


def client(url: str, *, key: str | None = None, patience: Patience = QUICK) -> RemoteClient:
    return RemoteClient(Endpoint(url, "tiny", Secret(key) if key else None), patience)


def test_a_chat_sends_model_messages_and_parameters() -> None:
    with serving([said("hi there")]) as script:
        one = client(script.url, key=CANARY)
        assert one.ask(HELLO) == Reply("hi there", "stop", 7, 3)
    assert script.asked == [
        {"path": "/v1/chat/completions", "model": "tiny", "temperature": 0.0,
         "messages": [{"role": "user", "content": "hello"}]}
    ]  # fmt: skip
    assert script.headers[0]["Authorization"] == f"Bearer {CANARY}"
    usage = one.usage
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.uncounted) == (
        1, 7, 3, 0,
    )  # fmt: skip


def test_a_completion_reads_the_text() -> None:
    body = json.dumps({"choices": [{"text": " and then", "finish_reason": "length"}]})
    with serving([Answer(body=body.encode())]) as script:
        one = client(script.url)
        assert one.ask(completion("Once")) == Reply(" and then", "length")
    assert script.asked[0]["path"] == "/v1/completions"
    assert "Authorization" not in script.headers[0]
    assert one.usage.uncounted == 1


GOOD = said("ok")
PASSING = {
    "500": failed(500),
    "503 with Retry-After": failed(503, Retry_After="0"),
    "429": failed(429),
    "never answers": Answer(act=fault_server.never),
    "drips for ever": Answer(act=fault_server.drip),
    "reset mid-body": Answer(act=fault_server.reset_in_the_middle),
    "invalid JSON": Answer(body=b'{"choices": ['),
    "other JSON": Answer(body=b'{"hello": 1}'),
    "list of nothing": Answer(body=b'{"choices": []}'),
    "half a character": Answer(body=b'{"choices": [{"message": {"content": "\\ud800"}}]}'),
    "text is a number": Answer(body=b'{"choices": [{"message": {"content": 7}}]}'),
    "empty": said(""),
    "null": said(None),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_fault_that_passes_is_tried_again(fault: Answer) -> None:
    with serving([fault, GOOD]) as script:
        one = client(script.url)
        assert one.ask(HELLO).text == "ok"
        assert script.num_calls == one.usage.calls == 2


FOR_GOOD = {
    "timeout": (Answer(act=fault_server.never), 3, r"no whole reply in 0.4 s \(tried 3 times\)"),
    "server_error": (failed(502, "bad gateway"), 3, "HTTP 502: 'bad gateway'"),
    "rate_limited": (failed(429, "slow down"), 3, "HTTP 429.*lower --concurrency"),
    "broken_off": (Answer(act=fault_server.reset_in_the_middle), 3, "broke off"),
    "bad_json": (Answer(body=b"<html>"), 3, "not the JSON that was asked for: '<html>'"),
    "empty": (said("  \n"), 3, "the reply is empty"),
    "too_large": (Answer(act=fault_server.ten_megabytes), 1, "larger than 2097152 bytes"),
    "refusal": (said(None, refusal="I would rather not"), 1, "refuses: 'I would rather not'"),
    "rejected": (failed(400, "no such parameter"), 1, "HTTP 400: 'no such parameter'"),
    "auth": (failed(401, "bad key"), 1, "HTTP 401.*--api-key-env"),
    "not_found": (failed(404, "no model"), 1, "HTTP 404.*--base-url"),
    "redirect": (Answer(307, headers={"Location": "http://evil.example/v1"}), 1,
                 "'http://evil.example/v1', which is not followed"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOR_GOOD)
def test_a_fault_that_stays_has_a_name_and_an_end(kind: str) -> None:
    fault, tries, words = FOR_GOOD[kind]
    with serving([fault]) as script:
        one = client(script.url)
        started = time.monotonic()
        with pytest.raises(RemoteError, match=words) as caught:
            one.ask(HELLO)
        assert time.monotonic() - started < 4
        assert caught.value.kind == kind
        assert caught.value.exit_code == 2
        assert script.url in str(caught.value)
        assert script.num_calls == tries


def test_a_content_filter_is_a_refusal() -> None:
    with serving([said("half a", reason="content_filter")]) as script:
        with pytest.raises(RemoteError, match="content_filter") as caught:
            client(script.url).ask(HELLO)
        assert caught.value.kind == "refusal"


def test_a_server_that_is_not_there_says_so() -> None:
    with serving([GOOD]) as script:
        url = script.url
    with pytest.raises(RemoteError, match="cannot be reached.*check the address") as caught:
        client(url).ask(HELLO)
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize("dated", [False, True], ids=["seconds", "date"])
def test_retry_after_is_honoured(dated: bool) -> None:
    wait = formatdate(time.time() + 2, usegmt=True) if dated else "1"
    with serving([failed(429, Retry_After=wait), GOOD]) as script:
        client(script.url, patience=Patience(max_wait=5)).ask(HELLO)
        # A date has whole seconds: "in 2 s" may be little more than one.
        assert 0.9 < script.times[1] - script.times[0] < 2.5


def test_a_retry_after_beyond_patience_ends_the_request() -> None:
    with serving([failed(429, Retry_After="3600")]) as script:
        with pytest.raises(RemoteError, match="asks to wait 3600 s: run the same command again"):
            client(script.url).ask(HELLO)
        assert script.num_calls == 1


def test_one_rate_limit_holds_all_requests_back() -> None:
    asked = [chat([{"role": "user", "content": str(i)}]) for i in range(4)]
    with serving([failed(429, Retry_After="1"), GOOD]) as script:
        patience = Patience(concurrency=1, max_wait=5)
        found: dict[int, object] = {}
        client(script.url, patience=patience).ask_all(asked, found.__setitem__)
        assert sorted(found) == [0, 1, 2, 3]
        assert script.times[1] - script.times[0] > 0.9
        assert script.times[-1] - script.times[1] < 0.5


def test_requests_run_beside_each_other_but_not_too_many() -> None:
    running, most = 0, 0

    def answer(body: dict[str, object]) -> Answer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.1)
        running -= 1
        return said(str(body["messages"][0]["content"]))  # type: ignore[index]

    with serving(answer) as script:
        found: dict[int, Reply | RemoteError] = {}
        asked = [chat([{"role": "user", "content": str(i)}]) for i in range(9)]
        client(script.url).ask_all(asked, found.__setitem__)
    assert most == QUICK.concurrency
    assert [reply.text for _, reply in sorted(found.items()) if isinstance(reply, Reply)] == [
        str(i) for i in range(9)
    ]


def test_a_server_that_is_down_ends_the_batch_and_what_came_is_kept() -> None:
    found: dict[int, Reply | RemoteError] = {}
    with serving([GOOD, GOOD, failed(500)]) as script:
        one = client(script.url, patience=Patience(max_retries=0, concurrency=1))
        with pytest.raises(RemoteError, match=r"5 requests in a row had no answer"):
            one.ask_all([HELLO] * 100, found.__setitem__)
        assert script.num_calls == 2 + MAX_FAILURES_IN_A_ROW
    assert [isinstance(one, Reply) for _, one in sorted(found.items())] == [True] * 2 + [False] * 5


def test_refusals_do_not_mean_that_the_server_is_down() -> None:
    found: dict[int, Reply | RemoteError] = {}
    with serving([said(None, refusal="no")]) as script:
        client(script.url).ask_all([HELLO] * 8, found.__setitem__)
    assert {one.kind for one in found.values() if isinstance(one, RemoteError)} == {"refusal"}
    assert len(found) == 8


def test_a_server_that_rejects_everything_is_not_asked_on() -> None:
    found: dict[int, Reply | RemoteError] = {}
    with serving([failed(400)]) as script:
        one = client(script.url, patience=Patience(max_retries=0, concurrency=1))
        with pytest.raises(RemoteError, match="5 requests in a row had no answer"):
            one.ask_all([HELLO] * 100, found.__setitem__)
        assert script.num_calls == MAX_FAILURES_IN_A_ROW


def test_a_wait_that_is_no_number_is_no_wait() -> None:
    """A superscript is a digit to Python, and no number."""
    with serving([failed(429, Retry_After="\u00b2"), GOOD]) as script:
        client(script.url).ask(HELLO)
        assert script.num_calls == 2


def test_a_count_of_tokens_that_cannot_be_is_none() -> None:
    huge = json.loads(said("hi").body) | {"usage": {"prompt_tokens": 10**400}}
    with serving([replace(GOOD, body=json.dumps(huge).encode())]) as script:
        assert client(script.url).ask(HELLO).prompt_tokens is None


def test_it_works_inside_a_running_loop() -> None:
    import asyncio

    async def notebook(url: str) -> str:
        return client(url).ask(HELLO).text

    with serving([GOOD]) as script:
        assert asyncio.run(notebook(script.url)) == "ok"


@pytest.mark.parametrize(
    "answer",
    [failed(401, f"your key {CANARY} is wrong"), failed(400, CANARY), Answer(500, CANARY.encode())],
)
def test_no_message_shows_the_key(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), serving([answer]) as script:
        one = client(script.url, key=CANARY)
        with pytest.raises(RemoteError) as caught:
            one.ask(HELLO)
    for text in (str(caught.value), repr(one), repr(one.endpoint), caplog.text):
        assert CANARY not in text
    assert "***" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/v1", "plain http would show key and texts"),
        ("http://10.0.0.5:8000/v1", "ssh -L"),
        ("ftp://127.0.0.1/v1", "is no address"),
        ("127.0.0.1:8000", "is no address"),
        ("http://127.0.0.1:port/v1", "is no address"),
        (f"https://user:{CANARY}@example.org/v1", "ends up in logs"),
        (f"https://example.org/v1?key={CANARY[:3]}", "leave out what follows"),
        ("https://", "is no address"),
        ("http://127.0.0.1.evil.example/v1", "plain http"),
    ],
)
def test_addresses_that_would_leak_are_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Endpoint(url, "tiny")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://example.org/v1", "http://localhost:1/v1", "http://[::1]:1/v1"]
)
def test_good_addresses(url: str) -> None:
    assert Endpoint(url, "tiny").url("completions") == f"{url}/completions"


def test_keys_come_from_the_environment_or_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PALATE_API_KEY", raising=False)
    assert read_key() is None
    monkeypatch.setenv("MINE", f" {CANARY}\n")
    found = read_key(variable="MINE")
    assert found is not None
    assert found.reveal() == CANARY
    assert CANARY not in f"{found} {found!r} {[found]}"
    file = tmp_path / "key"
    file.write_text(f"{CANARY}\n", encoding="utf-8")
    file.chmod(0o600)
    private = read_key(file=file)
    assert private is not None
    assert private.reveal() == CANARY
    file.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_key(file=file)
    with pytest.raises(UsageError, match="NOT_SET is not set"):
        read_key(variable="NOT_SET")
    with pytest.raises(UsageError, match="cannot be read"):
        read_key(file=tmp_path / "none")
    monkeypatch.setenv("MINE", f"{CANARY} two")
    with pytest.raises(UsageError, match="no single word") as caught:
        read_key(variable="MINE")
    assert CANARY not in str(caught.value)


def test_a_request_is_plain_data() -> None:
    assert chat([], n=1) == Request("chat/completions", {"messages": [], "n": 1})
