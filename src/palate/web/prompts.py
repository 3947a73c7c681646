"""A prompt as turns that a page can lay out."""

from palate.data.records import Text

WHO = {"system": "Instructions", "user": "User", "assistant": "Assistant"}


def turns(prompt: Text) -> list[dict[str, str]]:
    """Who says what, in order; a plain prompt is one turn of nobody."""
    if isinstance(prompt, str):
        return [{"who": "", "text": prompt}]
    return [{"who": WHO[turn.role], "text": turn.content} for turn in prompt]
