r"""Dialogues written as one string, the way of Anthropic's hh-rlhf data.

    \n\nHuman: What is rust?\n\nAssistant: Iron that met water.\n\nHuman: And then?\n\nAssistant:

A marker counts as the start of a turn only where its speaker's turn has come: after a Human turn,
"\n\nHuman:" is text of that same turn. The published files hold such rows (a reply that runs on
into a second "\n\nAssistant:"), and read this way every pair of them differs in its last reply
only. The text is kept as it is; a warning (W403) points at it.
"""

import re
from collections.abc import Sequence

from palate.data.records import Role, Turn

HUMAN = "\n\nHuman:"
ASSISTANT = "\n\nAssistant:"
_MARKER = re.compile(r"\n\n(Human|Assistant):")
_ROLES: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}


def is_dialogue(text: str) -> bool:
    """Tell a dialogue string from plain text: it opens with a speaker marker."""
    return text.startswith((HUMAN, ASSISTANT))


def parse_dialogue(text: str) -> tuple[Turn, ...]:
    r"""Split a dialogue string into turns; the speakers alternate by construction.

    A turn may span several lines and paragraphs. One space after the marker belongs to the
    marker; everything else is content, so `format_dialogue` gives the same string back.

    Args:
        text: a string that `is_dialogue` accepts.
    """
    starts: list[tuple[Role, int, int]] = []
    for match in _MARKER.finditer(text):
        role = _ROLES[match[1]]
        if not starts or starts[-1][0] != role:
            starts.append((role, match.start(), match.end()))
    ends = [start for _, start, _ in starts[1:]] + [len(text)]
    return tuple(
        Turn(role, text[start:end].removeprefix(" "))
        for (role, _, start), end in zip(starts, ends, strict=True)
    )


def format_dialogue(turns: Sequence[Turn]) -> str:
    r"""Write turns as one dialogue string; a system turn stands in front without a marker."""
    parts = []
    for turn in turns:
        if turn.role == "system":
            parts.append(turn.content)
        else:
            marker = HUMAN if turn.role == "user" else ASSISTANT
            parts.append(f"{marker} {turn.content}")
    return "".join(parts)
