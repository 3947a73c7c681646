"""When two texts count as the same: Unicode NFC, blanks joined, none around; the texts stay as are.

A trailing blank or another encoding of an accent would otherwise hide a duplicate or a leak.
"""

import unicodedata

from palate.data.records import Text, Turn, prompt_key


def normal(text: str) -> str:
    """The text in NFC with each run of blanks (line breaks too) as one space, none around."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def normal_key(prompt: Text) -> str:
    """`prompt_key` of the prompt's normal form; of a conversation's each turn has its own."""
    if isinstance(prompt, str):
        return prompt_key(normal(prompt))
    return prompt_key(tuple(Turn(turn.role, normal(turn.content)) for turn in prompt))


def leak_key(prompt: Text) -> str:
    """`normal_key` without regard to case: what was trained on is known in capitals too."""
    if isinstance(prompt, str):
        return normal_key(prompt.casefold())
    return normal_key(tuple(Turn(turn.role, turn.content.casefold()) for turn in prompt))
