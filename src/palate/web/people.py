"""Who is asking: links that open once, the cookie that follows, and the token of writes.

    link /?t=…  ──►  cookie (HttpOnly, SameSite=Strict)  ──►  page with the token of its writes

A link's secret lives in this process until it is used. A cookie is signed with a key that lies in a
file beside the votes, so browsers stay signed in when the server is started again (the watching
page forgets its key instead); it is void as soon as its owner gets a new secret.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from starlette.responses import Response

from palate.errors import UsageError
from palate.web.visit import Person

COOKIE_SECONDS = 30 * 24 * 3600

PersonT = TypeVar("PersonT", bound=Person)


class People(Generic[PersonT]):
    """Signs people in and knows them again.

    Args:
        find: somebody by number; None where there is nobody.
        key: what cookies are signed with.
        cookie: the name of the cookie; browsers do not part ports, so it should.
    """

    def __init__(self, find: Callable[[int], PersonT | None], *, key: bytes, cookie: str) -> None:
        self.cookie = cookie
        self._find = find
        self._key = key
        self._links: dict[str, int] = {}

    def new_link_secret(self, person: int) -> str:
        """A secret that signs somebody in, once."""
        secret = secrets.token_urlsafe(24)
        self._links[_digest(secret)] = person
        return secret

    def redeem(self, secret: str) -> PersonT | None:
        """Use up a link's secret; None where there is none such, or no longer."""
        person = self._links.pop(_digest(secret), None)
        return None if person is None else self._find(person)

    def sign_in(self, response: Response, person: PersonT, *, is_secure: bool) -> None:
        """Give a browser its cookie; `is_secure`: to be sent back over TLS alone."""
        nonce = secrets.token_urlsafe(12)
        response.set_cookie(
            self.cookie,
            f"{person.id}.{nonce}.{self._signature(person, nonce)}",
            max_age=COOKIE_SECONDS,
            path="/",
            httponly=True,
            samesite="strict",
            secure=is_secure,
        )

    def who(self, cookies: Mapping[str, str]) -> PersonT | None:
        """Whom a request's cookie was given to; None for nobody."""
        number, _, rest = cookies.get(self.cookie, "").partition(".")
        nonce, _, signature = rest.partition(".")
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            return None
        person = self._find(int(number))
        if person is None:
            return None
        expected = self._signature(person, nonce)
        return person if secrets.compare_digest(expected, signature) else None

    def write_token(self, cookies: Mapping[str, str]) -> str:
        """What a page must send with its writes: only pages that could be read know it."""
        return self._mac("write", cookies.get(self.cookie, ""))

    def may_write(self, cookies: Mapping[str, str], shown: str) -> bool:
        """Whether a write brought the token of its page."""
        return secrets.compare_digest(self.write_token(cookies).encode(), shown.encode())

    def _signature(self, person: PersonT, nonce: str) -> str:
        return self._mac("cookie", str(person.id), person.token_hash, nonce)

    def _mac(self, *parts: str) -> str:
        return hmac.new(self._key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()


def read_key(path: Path) -> bytes:
    """The key that cookies are signed with, from a file that only its owner can read.

    Raises:
        UsageError: it is no key of ours, or cannot be read or made.
    """
    try:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        path.chmod(0o600)
        key = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds something else"
        raise UsageError(f"{path}: the key of this page's cookies: {reason}; delete it") from None
    if len(key) != 32:
        raise UsageError(f"{path}: the key of this page's cookies is cut off; delete it")
    return key


def _digest(secret: str) -> str:
    # Looked up by its digest, so that the time of a look-up says nothing about a secret.
    return hashlib.sha256(secret.encode()).hexdigest()
