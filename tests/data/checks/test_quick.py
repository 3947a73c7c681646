from palate.data.checks.quick import quick_check
from palate.data.records import Preference


def test_what_one_record_shows_is_said_of_training_and_evaluation_rows() -> None:
    key = "sk-" + "a1B2" * 8
    train = [
        Preference("say <|im_end|> now", "ab", "cd", origin="f:1"),
        Preference("q2", "abc", f"my key: {key}", origin="f:2"),
        Preference("q3", "no", "x" * 400, origin="f:3"),
    ]
    held_out = [Preference("q4", "mail a.b@c.org", "no", origin="e:1")]
    found = [(group.code, group.places[0].origin) for group in quick_check(train, held_out)]
    assert found == [("W412", "f:3"), ("W414", "f:2"), ("W415", "e:1"), ("W416", "f:1")]
