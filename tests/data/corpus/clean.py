"""Rows without a fault, of four formats, as many as are asked for."""

import random
from typing import Any

Row = dict[str, Any]

_THINGS = [
    "bicycle",
    "kettle",
    "garden",
    "ladder",
    "river",
    "violin",
    "lantern",
    "basket",
    "compass",
    "window",
    "blanket",
    "harbor",
    "mountain",
    "saddle",
    "candle",
    "mirror",
    "teapot",
    "orchard",
    "anchor",
    "meadow",
]
_ACTS = [
    "repair",
    "paint",
    "clean",
    "store",
    "carry",
    "measure",
    "draw",
    "describe",
    "choose",
    "sell",
    "weigh",
    "wrap",
    "lift",
    "polish",
    "photograph",
    "borrow",
    "lend",
    "replace",
    "inspect",
    "decorate",
]
_WAYS = [
    "slowly with a soft cloth and some patience",
    "in the morning before the others are awake",
    "together with a friend who has done it before",
    "after reading the notes that came with it",
    "outside where there is more room for it",
    "twice and then look at it again",
    "with both hands and without any hurry",
    "on a dry day when the light is good",
    "step by step and never all at once",
    "as the old craftsman in the village used to",
]
_REASONS = [
    "it lasts longer that way",
    "nothing breaks by accident",
    "you will see at once what is missing",
    "the result looks even on all sides",
    "that is how most people learn it",
    "it saves you from doing it again next week",
    "small mistakes are easy to correct then",
    "the material is older than it looks",
]


def _answer(draw: random.Random, act: str, thing: str) -> str:
    sentences = [f"You can {act} the {thing} {draw.choice(_WAYS)}."]
    for _ in range(draw.randint(0, 3)):
        sentences.append(
            f"Take care with part {draw.randint(1, 999)} of the {draw.choice(_THINGS)} as well, "
            f"because {draw.choice(_REASONS)}."
        )
    return " ".join(sentences)


def text_pairs(count: int, *, seed: int = 0) -> list[Row]:
    """{prompt, chosen, rejected} as text: distinct prompts, chance decides which is chosen."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        act, thing = draw.choice(_ACTS), draw.choice(_THINGS)
        prompt = f"Request {number} of the day: how do I {act} the {thing} that I have at home?"
        first = _answer(draw, act, thing)
        second = first
        while second == first:
            second = _answer(draw, act, thing)
        rows.append({"prompt": prompt, "chosen": first, "rejected": second})
    return rows


def turn_pairs(count: int, *, seed: int = 0) -> list[Row]:
    """The same as conversations of one exchange, a question back and a second exchange."""
    rows = []
    for row in text_pairs(count, seed=seed):
        prompt = [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": "What have you got at hand for it?"},
            {"role": "user", "content": "Only what one finds in a kitchen."},
        ]
        replies = {n: [{"role": "assistant", "content": row[n]}] for n in ("chosen", "rejected")}
        rows.append({"prompt": prompt, **replies})
    return rows


def whole_turn_pairs(count: int, *, seed: int = 0) -> list[Row]:
    """Conversations that share all turns but the last, without a prompt column."""
    return [
        {name: [*row["prompt"], *row[name]] for name in ("chosen", "rejected")}
        for row in turn_pairs(count, seed=seed)
    ]


def labelled(count: int, *, seed: int = 0) -> list[Row]:
    """{prompt, completion, label}: both labels, by turns."""
    return [
        {"prompt": row["prompt"], "completion": row["chosen"], "label": number % 2 == 0}
        for number, row in enumerate(text_pairs(count, seed=seed))
    ]


def tiny_pairs(count: int, *, seed: int = 0) -> list[Row]:
    """Pairs in the words of the tiny tokenizer, w3 to w47: at most 13 tokens with their end."""
    draw = random.Random(seed)
    return [
        {
            "prompt": f"w{3 + number % 45} w{3 + number // 45} w{draw.randint(3, 47)}",
            "chosen": " ".join(f"w{draw.randint(3, 24)}" for _ in range(draw.randint(3, 8))),
            "rejected": " ".join(f"w{draw.randint(25, 47)}" for _ in range(draw.randint(3, 8))),
        }
        for number in range(count)
    ]
