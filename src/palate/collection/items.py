"""What is voted on: a prompt and two responses, known by their content."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from palate.collection.events import Verdict
from palate.data.records import Preference, Text, Turn, prompt_key


@dataclass(frozen=True, slots=True)
class Item:
    """A pair to vote on.

    The order of the two says nothing to a voter: sides are drawn for each item and annotator.

    Attributes:
        prompt: plain text, or a conversation that ends in a user turn.
        first: one response, never blank.
        second: the other, never blank and never equal to `first`.
        source: where it came from ("file:line", or the data's own column); never shown to voters.
        name: the id that the data's owner gave it, "" for none.
        tags: of the data's owner.
        gold: the answer where it is known: such an item tests annotators and is not exported.
        margin: how much better a reward model finds `first` than `second`, in its own unit.
    """

    prompt: Text
    first: str
    second: str
    source: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    gold: Verdict | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        Preference(self.prompt, self.first, self.second, margin=self.margin, origin=self.source)

    @property
    def key(self) -> str:
        """Its name by content, the same for the two orders: a pair is voted on once, not twice."""
        pair = json.dumps([prompt_key(self.prompt), *sorted([self.first, self.second])])
        return hashlib.sha256(pair.encode("ascii")).hexdigest()


def digest_of(keys: Iterable[str]) -> str:
    """The SHA-256, in hexadecimal, of pairs by their keys, in their order."""
    digest = hashlib.sha256()
    for key in keys:
        digest.update(key.encode("ascii"))
    return digest.hexdigest()


def prompt_to_json(prompt: Text) -> str:
    """A prompt as JSON: a string, or a list of [role, content]."""
    plain = prompt if isinstance(prompt, str) else [[turn.role, turn.content] for turn in prompt]
    return json.dumps(plain, ensure_ascii=False)


def prompt_from_json(text: str) -> Text:
    """Read what `prompt_to_json` wrote."""
    value = json.loads(text)
    if isinstance(value, str):
        return value
    return tuple(Turn(role, content) for role, content in value)
