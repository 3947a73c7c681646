"""What every labelling page works with: the votes, the people, the guidelines."""

import hashlib
from dataclasses import dataclass

from palate.collection.state import Annotator
from palate.collection.store import Store
from palate.web.guidelines import DEFAULT, Sheet, to_sheet
from palate.web.people import People
from palate.web.visit import Visit


@dataclass(frozen=True)
class Desk:
    """The labelling page's belongings.

    Attributes:
        store: the votes.
        people: who may come in.
        address: what links begin with, as "http://127.0.0.1:8321".
        command: what serves the pages, as people type it.
    """

    store: Store
    people: People[Annotator]
    address: str
    command: str = "palate label"

    def link(self, annotator: Annotator) -> str:
        """An address that signs an annotator in, once."""
        return f"{self.address}/?t={self.people.new_link_secret(annotator.id)}"

    def guidelines(self) -> tuple[int, Sheet]:
        """Version and sheet of what voters should go by; version 0 are the program's own words."""
        version, text = self.store.guidelines()
        return version, to_sheet(text if version else DEFAULT)

    def collection_name(self) -> str:
        """Tells this collection from others in a browser's storage, without saying its salt."""
        return hashlib.sha256(f"name {self.store.settings.salt}".encode()).hexdigest()[:16]


LabelVisit = Visit[Desk]
