import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.records import Preference, Prompt
from palate.data.splits import halves, split_by_prompt
from palate.errors import DataError


def _pairs(num_prompts: int) -> list[Preference]:
    return [Preference(f"q{i}", f"a{j}", "b") for i in range(num_prompts) for j in range(2)]


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_split_is_stable_under_order_and_additions(seed: int) -> None:
    pairs = _pairs(60)
    split = split_by_prompt(pairs, eval_fraction=0.3)
    shuffled = pairs + [Preference(f"new {i}", "a", "b") for i in range(30)]
    random.Random(seed).shuffle(shuffled)
    again = split_by_prompt(shuffled, eval_fraction=0.3)
    assert set(split.eval) <= set(again.eval)
    assert set(split.train) <= set(again.train)


VARIANTS = (" {}", "{}  ", "caf\u00e9  {}", "cafe\u0301 {}", "CAF\u00c9 {}\n")


def test_variants_of_a_prompt_fall_to_one_side() -> None:
    prompts = [Prompt(form.format(f"q{i}")) for i in range(60) for form in VARIANTS]
    split = split_by_prompt(prompts, eval_fraction=0.4)
    sides = [[prompt.prompt for prompt in side] for side in (split.train, split.eval)]
    for i in range(60):
        for forms in (VARIANTS[:2], VARIANTS[2:]):
            num_trained = sum(form.format(f"q{i}") in sides[0] for form in forms)
            assert num_trained in (0, len(forms))


def test_variants_move_no_prompt_in_normal_form_and_no_lonely_one() -> None:
    prompts = [Prompt(f"a q{i}") for i in range(60)] + [Prompt(f"one  {i} ") for i in range(60)]
    alone = split_by_prompt(prompts, eval_fraction=0.4)
    among = split_by_prompt([*prompts, *(Prompt(f"a  q{i}") for i in range(60))], eval_fraction=0.4)
    assert set(alone.train) <= set(among.train)
    assert set(alone.eval) <= set(among.eval)


def test_no_prompt_is_on_both_sides_and_no_record_is_lost() -> None:
    pairs = _pairs(200)
    split = split_by_prompt(pairs, eval_fraction=0.25)
    assert not {p.prompt for p in split.train} & {p.prompt for p in split.eval}
    assert sorted(split.train + split.eval, key=pairs.index) == pairs
    assert split.train == sorted(split.train, key=pairs.index)


def test_the_share_is_near_the_fraction() -> None:
    prompts = [Prompt(f"q{i}") for i in range(4000)]
    share = len(split_by_prompt(prompts, eval_fraction=0.1).eval) / 4000
    # Four standard deviations of a share of 0.1 over 4000 prompts: 4 · sqrt(.1 · .9 / 4000) = .019
    assert share == pytest.approx(0.1, abs=0.019)


def test_a_larger_fraction_only_adds_and_another_salt_differs() -> None:
    prompts = [Prompt(f"q{i}") for i in range(100)]
    small = split_by_prompt(prompts, eval_fraction=0.1).eval
    large = split_by_prompt(prompts, eval_fraction=0.4).eval
    assert set(small) < set(large)
    assert split_by_prompt(prompts, eval_fraction=0.4, salt="other").eval != large


def test_fraction_zero_trains_on_everything() -> None:
    prompts = [Prompt("q")]
    split = split_by_prompt(prompts, eval_fraction=0.0)
    assert (split.train, split.eval) == (prompts, [])


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="eval_fraction is"):
        split_by_prompt([Prompt("q")], eval_fraction=fraction)


def test_an_empty_side_is_refused() -> None:
    with pytest.raises(DataError, match="fell to (training|evaluation)"):
        split_by_prompt([Prompt("q")], eval_fraction=0.5)


@settings(max_examples=20)
@given(st.integers(2, 31), st.integers(0, 100))
def test_halves_are_equal_disjoint_and_blind_to_order(num_prompts: int, seed: int) -> None:
    pairs = _pairs(num_prompts)
    parted = halves(pairs)
    chosen_on = {p.prompt for p in parted.choose}
    judged_on = {p.prompt for p in parted.judge}
    assert not chosen_on & judged_on
    assert 0 <= len(chosen_on) - len(judged_on) <= 1
    shuffled = list(pairs)
    random.Random(seed).shuffle(shuffled)
    assert set(halves(shuffled).judge) == set(parted.judge)


def test_halves_of_one_prompt_are_refused() -> None:
    with pytest.raises(DataError, match="two distinct prompts"):
        halves([Prompt("q"), Prompt("q")])
