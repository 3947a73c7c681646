"""Where the page is: what is listened on, and how browsers call it."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from palate.errors import UsageError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Address:
    """Where the page is.

    Attributes:
        host: what is listened on.
        port: 0 takes a free one.
        share_as: how other machines call it, as "http://192.168.1.5:8321"; "" keeps it on this one.
    """

    host: str = "127.0.0.1"
    port: int = 8321
    share_as: str = ""

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and not self.share_as:
            raise UsageError(
                f"--host {self.host}: other machines could reach the page; say how they call it, "
                "as --share-as http://NAME:PORT (better https://NAME, behind a TLS proxy), or "
                "leave --host out"
            )
        parts = urlsplit(self.share_as)
        is_origin = parts.scheme in ("http", "https") and parts.netloc and "@" not in parts.netloc
        if self.share_as and not (is_origin and parts.path in ("", "/") and not parts.query):
            raise UsageError(
                f"--share-as {self.share_as}: give the page's address without a path, as "
                "http://192.168.1.5:8321 or https://labels.example.org"
            )

    def origins(self, port: int) -> tuple[str, ...]:
        """Where the page is once it has its port, as browsers say it; links use the first.

        Lower case, and without the port that is the scheme's own.
        """
        local = [f"http://{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
        shared = [self.share_as.lower().rstrip("/")] if self.share_as else []
        return tuple(_without_own_port(origin) for origin in (*shared, *local))


def _without_own_port(origin: str) -> str:
    scheme, _, host = origin.partition("://")
    return f"{scheme}://{host.removesuffix({'http': ':80', 'https': ':443'}[scheme])}"
