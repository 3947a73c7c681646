"""What is said when the page is about to be served: where votes go, and a link for everybody."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palate.collection import Annotator
from palate.experiments.table import plain


@dataclass(frozen=True)
class Invited:
    """Somebody with their link, which opens once."""

    annotator: Annotator
    link: str


@dataclass(frozen=True)
class Opened:
    """A page that is about to be served.

    Attributes:
        votes: the database.
        num_items: pairs in it.
        num_added: pairs of the file that were new.
        invited: everybody who may vote, the admin first.
    """

    votes: Path
    num_items: int
    num_added: int
    invited: tuple[Invited, ...]

    def to_json(self) -> dict[str, Any]:
        """What a program needs to go on."""
        return {
            "votes": str(self.votes),
            "num_items": self.num_items,
            "num_added": self.num_added,
            "links": {one.annotator.name: one.link for one in self.invited},
        }

    def describe(self) -> str:
        """What a person needs to go on."""
        pairs = "1 pair" if self.num_items == 1 else f"{self.num_items} pairs"
        count = f"{pairs} to vote on, {self.num_added} of them new"
        width = max(len(_named(one)) for one in self.invited)
        return "\n".join(
            (
                f"{count}; votes go to {plain(self.votes)}",
                "Links, each opens once; a browser that was here before needs none:",
                *(f"  {_named(one):<{width}}  {one.link}" for one in self.invited),
                "Ctrl-C ends.",
            )
        )


def _named(one: Invited) -> str:
    return f"{one.annotator.name} (admin)" if one.annotator.role == "admin" else one.annotator.name
