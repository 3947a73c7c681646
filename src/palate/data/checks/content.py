"""What deserves a look inside one usable record, where the look is too slow for every reading."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from palate.data.checks.secrets import Found, find_personal_data, find_secrets
from palate.data.faults import Fault, fault
from palate.data.records import Demonstration, Preference, Prompt, Text
from palate.measures.language import language_of

MIN_LENGTH_RATIO = 20
# Below this the longer one is no essay, and "No." a fair answer beside it.
MIN_LONGER = 400

# The texts by which common models mark turns and ends. `</s>` is HTML too, `[INST]` nothing else.
_SPECIAL = re.compile(
    r"<\|[A-Za-z][\w ]{0,40}\|>|\[/?INST\]|<</?SYS>>|</s>|<(?:start|end)_of_turn>"
    r"|<\uff5c[^\s>]{1,40}\uff5c>"
)


class Texts(NamedTuple):
    """A record's texts by name: what was asked (turn by turn), and what was answered."""

    asked: Mapping[str, str]
    answered: Mapping[str, str]

    def all(self) -> Iterable[tuple[str, str]]:
        """Name and text, prompt first."""
        return [*self.asked.items(), *self.answered.items()]


def texts_of(record: Prompt | Demonstration | Preference) -> Texts:
    """Lay a record's texts out by name."""
    answered: dict[str, str] = {}
    if isinstance(record, Preference):
        answered = {"chosen": record.chosen, "rejected": record.rejected}
    elif isinstance(record, Demonstration):
        answered = {"response": record.response}
    prompt = record.prompt
    if isinstance(prompt, str):
        return Texts({"prompt": prompt}, answered)
    return Texts({f"turn {i} ({t.role})": t.content for i, t in enumerate(prompt)}, answered)


def content_warnings(record: Prompt | Demonstration | Preference) -> list[Fault]:
    """Find secrets, personal data, special tokens, languages and lengths that stand out.

    Returns:
        At most one fault of each kind.
    """
    other = _other_language(record.prompt, texts_of(record).answered)
    language = [fault("W413", other, origin=record.origin)] if other else []
    return sorted([*language, *quick_warnings(record)], key=lambda found: found.code)


def quick_warnings(record: Prompt | Demonstration | Preference) -> list[Fault]:
    """All of them but the languages, which take as long as the rest together."""
    texts = texts_of(record)
    found = [
        ("W412", _extreme_ratio(record)),
        ("W414", _first(texts, find_secrets)),
        ("W415", _first(texts, find_personal_data)),
        ("W416", _first(texts, _special_tokens)),
    ]
    return [fault(code, message, origin=record.origin) for code, message in found if message]


def last_asked(prompt: Text) -> str:
    """What a response answers: a plain prompt, or a conversation's last turn."""
    return prompt if isinstance(prompt, str) else prompt[-1].content


def _first(texts: Texts, find: Callable[[str], Iterator[Found]]) -> str:
    for name, text in texts.all():
        if one := next(find(text), None):
            return f"{name} holds: {one.kind}, at character {one.start + 1}"
    return ""


def _special_tokens(text: str) -> Iterator[Found]:
    return (Found(f"the text {match[0]!a}", match.start()) for match in _SPECIAL.finditer(text))


def _extreme_ratio(record: Prompt | Demonstration | Preference) -> str:
    if not isinstance(record, Preference):
        return ""
    short, long = sorted((len(record.chosen.strip()), len(record.rejected.strip())))
    if long < MIN_LONGER or long < MIN_LENGTH_RATIO * short:
        return ""
    name = "chosen" if len(record.chosen) > len(record.rejected) else "rejected"
    return f"{name} has {long:,} characters, the other response {short}"


def _other_language(prompt: Text, answered: Mapping[str, str]) -> str:
    asked = language_of(last_asked(prompt)) if answered else None
    if asked is None:
        return ""
    for name, text in answered.items():
        if (spoken := language_of(text)) not in (None, asked):
            return f"the prompt is in {asked}, {name} in {spoken}"
    return ""
