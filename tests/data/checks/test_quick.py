"""The look before every training: what the check finds, as far as there is time."""

import numpy as np
import pytest

from palate.data.checks import quick
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
    found = [(group.code, group.places[0].origin) for group in quick_check(train, held_out).faults]
    assert found == [("W412", "f:3"), ("W414", "f:2"), ("W415", "e:1"), ("W416", "f:1")]


def words(count: int, *, seed: int) -> str:
    generator = np.random.default_rng(seed)
    return " ".join(f"word{number}" for number in generator.integers(0, 10_000, count))


def long_pairs(count: int) -> list[Preference]:
    return [
        Preference(words(60, seed=3 * i), words(40, seed=3 * i + 1), words(40, seed=3 * i + 2),
                   origin=f"f:{i + 1}")
        for i in range(count)
    ]  # fmt: skip


def test_near_duplicates_near_leaks_shortcuts_noise_and_languages_are_looked_for() -> None:
    train = long_pairs(60)
    shouting = [
        Preference(one.prompt, f"{one.chosen}!!", one.rejected, origin=one.origin) for one in train
    ]
    near = Preference(f"{train[0].prompt} please", f"{shouting[0].chosen} ok", train[0].rejected,
                      origin="f:61")  # fmt: skip
    german = Preference("Was ist das und wie kann man es mit den anderen auf die Reihe bringen?",
                        "It is what you make of it, and this is all that there is to it.!!",
                        "The one that you have is not the one for which they asked.",
                        origin="f:62")  # fmt: skip
    again = [shouting[5], shouting[6]]
    held_out = [Preference(f"so {train[7].prompt}", "a b", "c d", origin="e:1")]
    found = quick_check([*shouting, near, german, *again], held_out)
    told = {group.code: group.places[0] for group in found.faults}
    assert set(told) == {"W406", "W413", "W417", "W419", "W420"}
    assert (told["W417"].origin, told["W413"].origin) == ("f:61", "f:62")
    assert (told["W420"].origin, "e:1" in told["W420"].message) == ("f:8", True)
    assert found.noise is not None
    assert (found.noise.value, found.num_repeated, found.is_whole) == (0.0, 2, True)


def test_what_takes_too_long_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    train = long_pairs(30)
    rows = [*train, Preference(f"{train[0].prompt} please", train[0].chosen, train[0].rejected)]
    assert {group.code for group in quick_check(rows).faults} == {"W417"}
    monkeypatch.setattr(quick, "MAX_CHARACTERS", 1000)
    found = quick_check(rows)
    assert (found.faults, found.is_whole) == ((), False)
