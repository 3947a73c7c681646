"""A request that came through: to which desk, by whom, and what its page writes with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from starlette.responses import Response


@runtime_checkable
class Person(Protocol):
    """Somebody who may come in; a new `token_hash` signs all their browsers out."""

    @property
    def id(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def token_hash(self) -> str: ...


@runtime_checkable
class Doorkeeper(Protocol):
    """Whoever knows people again: `palate.web.people`."""

    def redeem(self, secret: str) -> Person | None: ...

    def sign_in(self, response: Response, person: Any, *, is_secure: bool) -> None: ...

    def who(self, cookies: Mapping[str, str]) -> Person | None: ...

    def write_token(self, cookies: Mapping[str, str]) -> str: ...

    def may_write(self, cookies: Mapping[str, str], shown: str) -> bool: ...


@runtime_checkable
class Served(Protocol):
    """What a set of pages works with."""

    @property
    def people(self) -> Doorkeeper: ...

    @property
    def address(self) -> str:
        """What links begin with, as "http://127.0.0.1:8321"."""

    @property
    def command(self) -> str:
        """What serves the pages, as people type it: "palate label"."""


DeskT = TypeVar("DeskT", bound=Served)


@dataclass(frozen=True)
class Visit(Generic[DeskT]):
    """See the module's first line."""

    desk: DeskT
    annotator: Person
    write_token: str

    @property
    def is_admin(self) -> bool:
        """Whether pages for whoever runs the command are theirs to see."""
        return self.annotator.role == "admin"
