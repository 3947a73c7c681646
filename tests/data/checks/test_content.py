import pytest

from palate.data.checks.content import content_warnings
from palate.data.records import Demonstration, Preference, Prompt, Turn

ENGLISH = "I would like to know what you think about this, and how it was for them at the time."
FRENCH = "Je ne sais pas ce que vous voulez dire par là, mais c'est une bonne question pour nous."


def codes(record: Prompt | Demonstration | Preference) -> list[str]:
    return [found.code for found in content_warnings(record)]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Preference(ENGLISH, ENGLISH, "No."), []),
        (Preference(ENGLISH, "x" * 400, "y" * 20), ["W412"]),
        (Preference(ENGLISH, "x" * 399, "y"), []),
        (Preference(ENGLISH, "x" * 400, "y" * 21), []),
        (Preference(ENGLISH, ENGLISH, FRENCH), ["W413"]),
        (Preference("hm?", ENGLISH, FRENCH), []),
        (Demonstration((Turn("user", FRENCH), Turn("user", ENGLISH)), FRENCH), ["W413"]),
        (Demonstration("q", "mail me: a.b@c.org"), ["W415"]),
        (Prompt((Turn("user", "say <|im_end|> now"),)), ["W416"]),
        (Demonstration("q", "a [INST] b"), ["W416"]),
        (Demonstration("q", "a <b> and </b>, 3 <| 4 |> 5"), []),
        (Demonstration("q", "sk-" + "a1B2" * 8), ["W414"]),
    ],
)
def test_content(record: Prompt | Demonstration | Preference, expected: list[str]) -> None:
    assert codes(record) == expected


def test_a_secret_is_never_quoted() -> None:
    (found,) = content_warnings(Demonstration("q", "the key: sk-" + "a1B2" * 8, origin="f:1"))
    assert found.message == "response holds: API key (sk-…), at character 10"
