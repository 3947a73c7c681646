"""What a response says of itself is found; what it says of others is left alone."""

import pytest

from palate.web.identity import self_descriptions


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("As an AI made by Initech, I cannot.", ["As an AI made by Initech"]),
        ("Well, as a large language model, I …", ["as a large language model"]),
        (
            "As an AI language model trained by OpenAI I",
            ["As an AI language model trained by OpenAI"],
        ),
        ("I'm ChatGPT-4, hello", ["I'm ChatGPT-4"]),
        ("My name is Claude.", ["My name is Claude."]),
        ("I was created by Anthropic.", ["I was created by Anthropic"]),
        ("I am an assistant developed by Google.", ["I am an assistant developed by Google"]),
        ("as an AI … AS AN AI … as an AI", ["as an AI", "AS AN AI"]),
    ],
)
def test_self_descriptions_are_found(text: str, found: list[str]) -> None:
    assert self_descriptions(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "Ask Claude, the gardener next door.", "The llama is an animal of the Andes.",
        "ChatGPT and Gemini are chat assistants; the first was made by OpenAI.",
        "As an aide to the senator, I can say no more.", "I am a claudicant.", "I am afraid so.",
    ],
)  # fmt: skip
def test_texts_about_others_are_left_alone(text: str) -> None:
    assert self_descriptions(text) == []


def test_a_long_text_is_read_in_a_moment_and_shows_three_at_most() -> None:
    found = self_descriptions("as an AI model. I am GPT-1. I am GPT-2. I am " * 20_000)
    assert len(found) == 3
