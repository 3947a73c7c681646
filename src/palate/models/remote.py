"""The one HTTP client: asks OpenAI-compatible servers, for sampling and judging.

Requests of a batch run beside each other, at most `concurrency` at a time. What may pass is tried
again, after full-jitter backoff (Brooker 2015, "Exponential backoff and jitter", AWS Architecture
Blog) and never before the server's Retry-After; what cannot pass ends at once. Redirects are not
followed: they would carry the key elsewhere. Nothing is logged.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2

from palate.errors import RemoteError
from palate.models.endpoint import Endpoint
from palate.models.remote_reply import KINDS, Failed, Reply, check_status, parse_reply

# So many requests in a row that failed for good mean that the server is down.
MAX_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True)
class Patience:
    """How long, how often and how much.

    Attributes:
        timeout: seconds of one try, its whole reply included.
        max_retries: further tries of a request.
        first_wait: seconds; the n-th wait is drawn from [0, first_wait · 2ⁿ].
        max_wait: seconds of one wait; a Retry-After beyond it ends the request.
        max_reply_bytes: of one reply.
        concurrency: requests under way at a time.
    """

    timeout: float = 120.0
    max_retries: int = 5
    first_wait: float = 0.5
    max_wait: float = 60.0
    max_reply_bytes: int = 2 * 2**20
    concurrency: int = 8


@dataclass(frozen=True)
class Request:
    """What is asked: a path below the base URL and the JSON body (the model's name is added)."""

    path: str
    body: Mapping[str, Any]


@dataclass
class Usage:
    """What a client has asked for so far, tries that failed included.

    Attributes:
        calls: requests sent.
        prompt_tokens: tokens sent, as far as servers said.
        completion_tokens: tokens received, as far as servers said.
        uncounted: calls whose tokens no server said: failed ones, mostly.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0

    def add(self, prompt_tokens: int | None, completion_tokens: int | None) -> None:
        """Count one call's tokens."""
        if prompt_tokens is None or completion_tokens is None:
            self.uncounted += 1
        self.prompt_tokens += prompt_tokens or 0
        self.completion_tokens += completion_tokens or 0


Done = Callable[[int, Reply | RemoteError], None]


def chat(messages: Sequence[Mapping[str, str]], **parameters: Any) -> Request:
    """A turn of a conversation."""
    return Request("chat/completions", {"messages": list(messages), **parameters})


def completion(prompt: str, **parameters: Any) -> Request:
    """The continuation of a text."""
    return Request("completions", {"prompt": prompt, **parameters})


@dataclass
class RemoteClient:
    """Asks one model of one server.

    Attributes:
        endpoint: the model.
        patience: limits.
        usage: what was asked so far.
        takes_empty: an empty reply is an answer (a sampled response may be), not a failure.
    """

    endpoint: Endpoint
    patience: Patience = field(default_factory=Patience)
    usage: Usage = field(default_factory=Usage)
    takes_empty: bool = False

    def __post_init__(self) -> None:
        # Moves waits apart in time and nothing else; no result depends on it.
        self._jitter = random.Random()
        self._not_before = 0.0
        self._failures, self._has_answered = 0, False

    def ask(self, request: Request) -> Reply:
        """Ask once, with retries.

        Raises:
            RemoteError: there is no usable answer; `kind` says why.
        """
        found: list[Reply | RemoteError] = []
        self.ask_all([request], lambda _, outcome: found.append(outcome))
        (outcome,) = found
        if isinstance(outcome, RemoteError):
            raise outcome
        return outcome

    def ask_all(self, requests: Sequence[Request], done: Done) -> None:
        """Ask many; `done` is called with each one's place and outcome, as they come in.

        Raises:
            RemoteError: the server is down, unknown, or refuses the key: asking on is vain. What
                came in before has been given to `done`.
        """
        if requests:
            _run(self._ask_all(requests, done))

    async def _ask_all(self, requests: Sequence[Request], done: Done) -> None:
        waiting = iter(enumerate(requests))
        self._not_before = 0.0
        headers = {"Accept-Encoding": "identity", "User-Agent": "palate"}
        if self.endpoint.key is not None:
            headers["Authorization"] = f"Bearer {self.endpoint.key.reveal()}"

        async def work(client: httpx2.AsyncClient) -> None:
            for index, request in waiting:
                outcome = await self._persist(client, request)
                done(index, outcome)
                self._give_up(outcome)

        try:
            async with (
                httpx2.AsyncClient(
                    headers=headers, follow_redirects=False, timeout=self.patience.timeout,
                    # A proxy is for the way to other machines; none sees what stays on this one.
                    trust_env=not self.endpoint.is_local,
                ) as client,
                asyncio.TaskGroup() as group,
            ):  # fmt: skip
                for _ in range(min(self.patience.concurrency, len(requests))):
                    group.create_task(work(client))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _give_up(self, outcome: Reply | RemoteError) -> None:
        if isinstance(outcome, Reply):
            self._failures, self._has_answered = 0, True
            return
        if KINDS[outcome.kind].fatal:
            raise outcome
        # Both are about one request's content, unless a server has never said anything else.
        self._has_answered |= outcome.kind == "refusal"
        if not (self._has_answered and outcome.kind in ("refusal", "rejected")):
            self._failures += 1
        if self._failures >= MAX_FAILURES_IN_A_ROW:
            self._failures = 0
            raise RemoteError(
                outcome.kind,
                f"{MAX_FAILURES_IN_A_ROW} requests in a row had no answer, the last one: {outcome}",
            )

    async def _persist(self, client: httpx2.AsyncClient, request: Request) -> Reply | RemoteError:
        for number in range(self.patience.max_retries + 1):
            await self._hold()
            try:
                return await self._try(client, request)
            except Failed as failure:
                last = number == self.patience.max_retries
                too_long = failure.wait > self.patience.max_wait
                if last or too_long or not KINDS[failure.kind].retry:
                    return self._error(failure, tries=number + 1, too_long=too_long)
                backoff = self._jitter.uniform(0, self.patience.first_wait * 2**number)
                wait = max(failure.wait, min(backoff, self.patience.max_wait))
                if failure.kind == "rate_limited":  # the others would only be told the same
                    self._not_before = max(
                        self._not_before, asyncio.get_running_loop().time() + wait
                    )
                else:
                    await asyncio.sleep(wait)
        raise AssertionError("the last try returns")

    async def _hold(self) -> None:
        clock = asyncio.get_running_loop()
        while (wait := self._not_before - clock.time()) > 0:
            await asyncio.sleep(wait + self._jitter.uniform(0, 0.1 * wait))

    async def _try(self, client: httpx2.AsyncClient, request: Request) -> Reply:
        self.usage.calls += 1
        body = {"model": self.endpoint.model, **request.body}
        url = self.endpoint.url(request.path)
        reply = None
        try:
            async with asyncio.timeout(self.patience.timeout):
                async with client.stream("POST", url, json=body) as response:
                    content = await self._read(response)
            check_status(response, content)
            reply = parse_reply(content)
        except (TimeoutError, httpx2.TimeoutException):
            raise Failed("timeout", f"no whole reply in {self.patience.timeout:g} s") from None
        except (httpx2.ConnectError, httpx2.UnsupportedProtocol, httpx2.ProxyError) as error:
            raise Failed("unreachable", f"cannot be reached ({error})") from None
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise Failed("broken_off", f"the reply broke off ({reason})") from None
        finally:
            if reply is None:
                self.usage.uncounted += 1
            else:
                self.usage.add(reply.prompt_tokens, reply.completion_tokens)
        if not (reply.text.strip() or self.takes_empty):
            raise Failed("empty", "the reply is empty")
        return reply

    async def _read(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > self.patience.max_reply_bytes:
                raise Failed(
                    "too_large", f"the reply is larger than {self.patience.max_reply_bytes} bytes"
                )
        return bytes(content)

    def _error(self, failure: "Failed", *, tries: int, too_long: bool) -> RemoteError:
        message = str(failure)
        if self.endpoint.key is not None:
            message = self.endpoint.key.redact(message)
        times = "" if tries == 1 else f" (tried {tries} times)"
        advice = _ADVICE.get(failure.kind, "")
        if too_long:
            advice = f"; it asks to wait {failure.wait:.0f} s: run the same command again then"
        return RemoteError(
            failure.kind,
            f"{self.endpoint.base_url} ({self.endpoint.model}): {message}{times}{advice}",
        )


_ADVICE = {
    "timeout": "; run the same command again, or raise --timeout",
    "rate_limited": "; run the same command again later, or lower --concurrency",
    "unreachable": "; check the address, and that the server runs",
    "auth": "; check the key (--api-key-env, --api-key-file)",
    "not_found": "; check --base-url (it mostly ends in /v1) and the model's name",
    "redirect": "; give the address that it leads to, if you trust it",
}


def _run(asking: Coroutine[Any, Any, None]) -> None:
    """Run to the end, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(asking)
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, asking).result()
