"""What comes back from an OpenAI-compatible server: a reply, or one of the ways to fail."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx2

from palate.data.faults import quote


class Kind(NamedTuple):
    """How a failure is met.

    Attributes:
        retry: it may pass; try again.
        fatal: every further request would fail alike; stop.
    """

    retry: bool = False
    fatal: bool = False


KINDS: dict[str, Kind] = {
    "timeout": Kind(retry=True),
    "rate_limited": Kind(retry=True),
    "server_error": Kind(retry=True),
    "broken_off": Kind(retry=True),
    "bad_json": Kind(retry=True),
    "empty": Kind(retry=True),
    "too_large": Kind(),
    "refusal": Kind(),
    "rejected": Kind(),
    "unreachable": Kind(retry=True, fatal=True),
    "auth": Kind(fatal=True),
    "not_found": Kind(fatal=True),
    "redirect": Kind(fatal=True),
}


@dataclass(frozen=True)
class Reply:
    """A server's answer.

    Attributes:
        text: what the model wrote.
        finish_reason: as the server says: "stop" where the model ended by itself.
        prompt_tokens: as the server counts them; None where it does not.
        completion_tokens: as the server counts them; None where it does not.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


# A count beyond it is no count.
_MAX_TOKENS = 10**9


class Failed(Exception):
    """One try that came to nothing; `wait` is what the server asks for, in seconds."""

    def __init__(self, kind: str, message: str, *, wait: float = 0.0) -> None:
        super().__init__(message)
        self.kind, self.wait = kind, wait


def check_status(response: httpx2.Response, content: bytes) -> None:
    """Pass over a status that brings a reply.

    Raises:
        Failed: it brings none.
    """
    status = response.status_code
    if status < 300:
        return
    said = _reason(content)
    told = f"HTTP {status}{f': {said}' if said else ''}"
    if status < 400:
        target = quote(response.headers.get("location", ""), limit=80)
        raise Failed("redirect", f"HTTP {status} to {target}, which is not followed")
    if status in (401, 403):
        raise Failed("auth", told)
    if status in (404, 405):
        raise Failed("not_found", told)
    if status == 429:
        raise Failed("rate_limited", told, wait=_retry_after(response))
    if status >= 500 or status in (408, 425):
        raise Failed("server_error", told, wait=_retry_after(response))
    raise Failed("rejected", told)


def _reason(content: bytes) -> str:
    """What a server says of an error, on one short line; "" where it says nothing."""
    text = content[:4096].decode("utf-8", errors="replace")
    try:
        found = json.loads(text)
        inner = found.get("error", found)
        text = str(inner.get("message", inner) if isinstance(inner, dict) else inner)
    except (ValueError, AttributeError, RecursionError):
        pass
    return quote(text.strip(), limit=200) if text.strip() else ""


def _retry_after(response: httpx2.Response) -> float:
    """Seconds that the server asks to wait, given as a number or a date; 0 where it does not."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def parse_reply(content: bytes) -> Reply:
    """Read the first choice of a completion or a chat completion.

    Raises:
        Failed: it is no such JSON, or the model refuses.
    """
    try:
        found = json.loads(content)
        choice = found["choices"][0]
        message = choice.get("message")
        usage = found.get("usage") or {}
        tokens = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        text = choice.get("text") if message is None else message.get("content")
        refusal = None if message is None else message.get("refusal")
        reason = str(choice.get("finish_reason") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        shown = quote(content[:200].decode("utf-8", errors="replace"), limit=80)
        raise Failed("bad_json", f"the reply is not the JSON that was asked for: {shown}") from None
    if refusal or reason == "content_filter":
        raise Failed("refusal", f"the model refuses: {quote(str(refusal or reason), limit=120)}")
    if text is not None and not (isinstance(text, str) and _is_unicode(text)):
        raise Failed("bad_json", f"the reply's text is {quote(text)}, not text")
    whole = [n if isinstance(n, int) and 0 <= n < _MAX_TOKENS else None for n in tokens]
    return Reply(text or "", reason, whole[0], whole[1])


def _is_unicode(text: str) -> bool:
    """JSON can spell half of a character, which no file takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
