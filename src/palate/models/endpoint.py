"""Which server is asked, and with which key: the rules that keep a key from leaking.

An address comes from the command line or a file that the user names, never from data. It is https,
or plain http on this machine. A key comes from an environment variable or from a file that nobody
else can read; it is held so that no message, log or dump shows it.
"""

import ipaddress
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from palate.data.faults import quote
from palate.errors import UsageError

KEY_VARIABLE = "PALATE_API_KEY"


class Secret:
    """A text that is shown as stars wherever it would be printed."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one header that needs it."""
        return self._text

    def redact(self, text: str) -> str:
        """A text without the secret, should a server repeat it."""
        return text.replace(self._text, str(self))

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible server.

    Attributes:
        base_url: such as https://api.example.org/v1; "/chat/completions" is appended.
        model: its name there.
        key: None: none is sent.
    """

    base_url: str
    model: str
    key: Secret | None = None

    def __post_init__(self) -> None:
        _check_url(self.base_url)
        if not self.model.strip():
            raise UsageError(f"{self.base_url}: name the model that is asked")

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        return _is_loopback(urlsplit(self.base_url).hostname or "")

    def url(self, path: str) -> str:
        """Address of a path below `base_url`."""
        return f"{self.base_url.rstrip('/')}/{path}"


def read_key(*, variable: str | None = None, file: str | Path | None = None) -> Secret | None:
    """The key from a file, or from an environment variable.

    Args:
        variable: its name; None: PALATE_API_KEY, which may be unset (no key is sent then).
        file: a file that holds nothing else, readable by its owner alone; goes before `variable`.

    Raises:
        UsageError: the named variable is unset, the file is missing or others can read it, or the
            key is no single word of ASCII. The message never shows the key.
    """
    if file is not None:
        return _secret(_read_private(Path(file)), f"the key in {file}")
    text = os.environ.get(variable or KEY_VARIABLE)
    if text is None:
        if variable is None:
            return None
        raise UsageError(
            f"the environment variable {variable} is not set; set it to the server's key, or leave "
            "--api-key-env out where the server needs none"
        )
    return _secret(text, f"the key in {variable or KEY_VARIABLE}")


def _read_private(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(
                f"{path}: others can read this key file (mode {stat.S_IMODE(mode):04o}); run "
                f"chmod 600 {path}"
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{path}: the key file cannot be read ({reason})") from None


def _secret(text: str, what: str) -> Secret:
    text = text.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{what} is no single word of ASCII characters; check it")
    return Secret(text)


def _check_url(base_url: str) -> None:
    shown = quote(base_url.rpartition("@")[2], limit=80)
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise UsageError(f"{shown} is no address; write https://HOST/v1") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(
            f"{shown} is no address; write https://HOST/v1 or http://127.0.0.1:PORT/v1"
        )
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"{shown}: an address with a user or password in it ends up in logs; give the key in "
            "an environment variable (--api-key-env) or a file (--api-key-file)"
        )
    if parts.query or parts.fragment:
        raise UsageError(f"{shown}: leave out what follows ? or #; write https://HOST/v1")
    if parts.scheme == "http" and not _is_loopback(host):
        raise UsageError(
            f"{shown}: plain http would show key and texts to the network; use https, or a tunnel "
            "to this machine (ssh -L 8000:localhost:8000 HOST, then http://127.0.0.1:8000/v1)"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
