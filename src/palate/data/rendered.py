"""Records as token ids: what `render.py` makes of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenderedPair:
    """A preference as token ids; each response continues the prompt and ends in an end token."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RenderedDemonstration:
    """A demonstration as token ids; the response ends in an end token."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]
