"""What the watching page works with: the runs, and the one person who may look at them."""

import secrets
from dataclasses import dataclass

from palate.experiments.live.board import Board
from palate.web.people import People
from palate.web.visit import Visit


@dataclass(frozen=True)
class Owner:
    """Whoever started the command."""

    id: int = 1
    name: str = "owner"
    role: str = "admin"
    token_hash: str = ""


OWNER = Owner()


@dataclass(frozen=True)
class WatchDesk:
    """The watching page's belongings.

    Attributes:
        board: the runs.
        people: knows the owner again.
        address: what links begin with, as "http://127.0.0.1:8322".
        command: what serves the page, as people type it.
    """

    board: Board
    people: People[Owner]
    address: str
    command: str = "palate watch"

    def link(self) -> str:
        """An address that signs the owner in, once."""
        return f"{self.address}/?t={self.people.new_link_secret(OWNER.id)}"


WatchVisit = Visit[WatchDesk]


def only_owner(port: int) -> People[Owner]:
    """Knows one person, until this process ends."""
    return People(
        lambda number: OWNER if number == OWNER.id else None,
        key=secrets.token_bytes(32),
        cookie=f"palate-{port}",
    )
