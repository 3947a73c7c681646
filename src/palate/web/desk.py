"""What every page works with: the votes, the people, the guidelines; and one visit to it."""

import hashlib
from dataclasses import dataclass, field

from palate.collection.state import Annotator
from palate.collection.store import Store
from palate.web.guidelines import DEFAULT, to_html
from palate.web.people import People

MOST_NAMED = 10_000


@dataclass(frozen=True)
class Desk:
    """The labelling page's belongings.

    Attributes:
        store: the votes.
        people: who may come in.
        address: what links begin with, as "http://127.0.0.1:8321".
    """

    store: Store
    people: People
    address: str
    # Questions on the way whose texts say who made them. Lost in a restart, which costs a flag only
    # where a page votes without fetching the pair again.
    _named: dict[int, None] = field(default_factory=dict)

    def link(self, annotator: Annotator) -> str:
        """An address that signs an annotator in, once."""
        return f"{self.address}/?t={self.people.new_link_secret(annotator.id)}"

    def guidelines(self) -> tuple[int, str]:
        """Version and HTML of what voters should go by; version 0 are the program's own words."""
        version, text = self.store.guidelines()
        return version, to_html(text if version else DEFAULT)

    def collection_name(self) -> str:
        """Tells this collection from others in a browser's storage, without saying its salt."""
        return hashlib.sha256(f"name {self.store.settings.salt}".encode()).hexdigest()[:16]

    def is_named(self, question: int) -> bool:
        """Whether a question is to be flagged when it is decided."""
        return question in self._named

    def remember_named(self, question: int) -> None:
        """A question was handed out whose texts say who made them."""
        if len(self._named) >= MOST_NAMED:
            self._named.pop(next(iter(self._named)))
        self._named[question] = None

    def forget_named(self, question: int) -> None:
        """It has its flag, or its annotator chose another."""
        self._named.pop(question, None)


@dataclass(frozen=True)
class Visit:
    """A request that came through: at which desk, by whom, and what its page writes with."""

    desk: Desk
    annotator: Annotator
    write_token: str

    @property
    def is_admin(self) -> bool:
        """Whether quality, disagreements and export are theirs to see."""
        return self.annotator.role == "admin"
