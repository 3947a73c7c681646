"""Passages in which a response says who made it: a vote on such a pair is no longer blind.

Arena-style collections found that voters ask "who are you?" and vote on the name. Only passages in
which the text speaks of itself are found; a text *about* a model is left alone.
"""

import re

_MADE = "made|created|developed|trained|built"
_MAKERS = "OpenAI|Anthropic|Google|DeepMind|Meta|Microsoft|Mistral|Alibaba|DeepSeek|Cohere|xAI"
_MODELS = (
    "ChatGPT|GPT|Claude|Gemini|Bard|Gemma|Llama|Mistral|Mixtral|Qwen|DeepSeek|Command R|Grok|Vicuna"
    "|Alpaca|Phi"
)
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b"
        r"(?: (?:language )?(?:model|assistant))?"
        rf"(?:,? (?:{_MADE}) by (?:{_MAKERS}|\w+))?",
        rf"\b(?:I am|I'm|I’m|my name is|this is|call me) (?:an? |the )?(?:{_MODELS})\b[-\w.]*",
        rf"\b(?:I am|I'm|I’m|I was|me)\b[^.!?\n]{{0,60}}\b(?:{_MADE}) by (?:{_MAKERS})\b",
    )
]
_MOST = 3


def self_descriptions(text: str) -> list[str]:
    """What a response says of its maker, in its own words, in the order of the patterns.

    Returns:
        At most three passages; empty for a text that says nothing of itself.
    """
    found = [match[0].strip() for pattern in _PATTERNS for match in pattern.finditer(text)]
    return list(dict.fromkeys(found))[:_MOST]
