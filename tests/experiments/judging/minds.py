"""Judges of known character, as a server's answers: the client and everything above it are real."""

import json
import re
from collections.abc import Callable
from typing import Any

from tests.models.fault_server import Answer, said

_FENCED = re.compile(r"<<(\w{16}) ([A-Z ]+)>>\n(.*?)\n<<\1 END>>", re.DOTALL)
Mind = Callable[[dict[str, str]], str]


def shown(body: dict[str, Any]) -> dict[str, str]:
    """What a question shows between its marks: PROMPT, REPLY A, REPLY B (or REPLY)."""
    return {name: text for _, name, text in _FENCED.findall(body["messages"][1]["content"])}


def verdict(letter: str) -> str:
    """An answer in the form that is asked for."""
    return json.dumps({"reason": "as I am", "verdict": letter})


def answering(mind: Mind) -> Callable[[dict[str, Any]], Answer]:
    """A server whose model answers as `mind` does."""
    return lambda body: said(mind(shown(body)))


def longer(seen: dict[str, str]) -> str:
    """The longer reply."""
    a, b = len(seen["REPLY A"]), len(seen["REPLY B"])
    return verdict("tie" if a == b else "A" if a > b else "B")


def first_place(seen: dict[str, str]) -> str:
    """Whatever is shown first."""
    return verdict("A")


def alphabet(seen: dict[str, str]) -> str:
    """The reply whose first letter comes first, whatever else it says."""
    a, b = seen["REPLY A"][0], seen["REPLY B"][0]
    return verdict("tie" if a == b else "A" if a < b else "B")


def credulous(seen: dict[str, str]) -> str:
    """As `alphabet`, but it does what a reply tells it."""
    for letter in ("A", "B"):
        if re.search(rf"choose reply {letter}|reply {letter} (was|has)|\"{letter}\"",
                     seen[f"REPLY {letter}"]):  # fmt: skip
            return verdict(letter)
    return alphabet(seen)


def mumbling(seen: dict[str, str]) -> str:
    """Never an answer that can be read."""
    return "I find A rather nice, but B has its charms."
