import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.errors import DataError
from palate.measures.estimate import rate_estimate
from palate.measures.winrate import (
    half_width,
    minimum_detectable_effect,
    num_prompts_for_half_width,
    num_prompts_to_detect,
    sign_test,
    win_rate,
    win_rate_from_verdicts,
)


def test_by_hand() -> None:
    # 2×2 comparisons: won 3, tied 1 → 7/8; then a loss; then a tie; then 1 of 2 won, 1 lost → ½
    result = win_rate(
        first=[[2.0, 3.0], [0.0], [5.0], [1.0, 4.0]], second=[[1.0, 2.0], [1.0], [5.0], [2.0]]
    )
    assert result.rate.value == pytest.approx((7 / 8 + 0 + 1 / 2 + 1 / 2) / 4)
    assert result.rate == rate_estimate([7 / 8, 0.0, 0.5, 0.5], unit="win rate")
    assert result.num_comparisons == 4 + 1 + 1 + 2
    assert result.tie_rate == pytest.approx(2 / 8)
    assert result.p_value == 1.0  # one prompt won, one lost, two level
    assert not result.is_distinguishable


def test_a_clear_winner() -> None:
    result = win_rate(first=np.ones(10), second=np.zeros(10))
    assert result.rate.value == result.rate.high == 1.0
    assert result.p_value == pytest.approx(2 * 0.5**10)
    assert result.is_distinguishable


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_laws(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 4, size=(8, 3)).astype(float)
    second = generator.integers(0, 4, size=(8, 2)).astype(float)
    straight = win_rate(first=first, second=second)
    swapped = win_rate(first=second, second=first)
    assert swapped.rate.value == pytest.approx(1 - straight.rate.value)
    assert swapped.rate.low == pytest.approx(1 - straight.rate.high)
    assert (swapped.p_value, swapped.tie_rate) == (straight.p_value, straight.tie_rate)
    order = generator.permutation(8)
    shuffled = win_rate(first=first[order][:, ::-1], second=second[order])
    assert shuffled.rate.value == pytest.approx(straight.rate.value)
    assert shuffled.p_value == straight.p_value
    squeezed = win_rate(first=np.exp(first), second=np.exp(second))  # only order matters
    assert squeezed == straight


def test_a_side_against_itself_is_one_half() -> None:
    scores = np.random.default_rng(0).normal(size=(30, 4))
    result = win_rate(first=scores, second=scores)
    assert result.rate.value == 0.5
    assert result.p_value == 1.0
    assert not result.is_distinguishable


def test_verdicts_by_prompt() -> None:
    result = win_rate_from_verdicts([1.0, 1.0, 0.5, 0.0, 0.5], clusters=["a", "a", "b", "b", "c"])
    assert result.rate == rate_estimate([1.0, 0.25, 0.5], unit="win rate")
    assert result.tie_rate == pytest.approx(0.4)
    assert (result.num_comparisons, result.p_value) == (5, 1.0)
    alone = win_rate_from_verdicts([1.0, 0.5, 0.0])
    assert alone == win_rate(first=[2.0, 1.0, 0.0], second=[1.0, 1.0, 1.0])


def test_sign_test_by_hand() -> None:
    # 7 of 8: 2 · (C(8,7) + C(8,8)) / 2⁸
    assert sign_test(num_wins=7, num_losses=1) == pytest.approx(2 * 9 / 256)
    assert sign_test(num_wins=1, num_losses=7) == pytest.approx(2 * 9 / 256)
    assert sign_test(num_wins=0, num_losses=0) == 1.0


def test_coverage_and_level_with_many_ties() -> None:
    generator = np.random.default_rng(1)
    covered = rejected = 0
    for _ in range(400):
        gaps = generator.integers(-1, 2, size=(50, 2)).astype(float)
        result = win_rate(first=gaps, second=np.zeros(50))
        covered += result.rate.low <= 0.5 <= result.rate.high
        rejected += result.p_value < 0.05
    assert 0.93 <= covered / 400 <= 0.975
    assert rejected / 400 <= 0.06


def test_planning_numbers() -> None:
    assert num_prompts_for_half_width(variance=0.25, width=0.05) == 385
    assert num_prompts_for_half_width(variance=0.25, width=0.03) == 1068
    assert num_prompts_to_detect(variance=0.25, effect=0.05) == 785
    assert half_width(variance=0.25, num_prompts=385) == pytest.approx(0.05, rel=2e-3)
    effect = minimum_detectable_effect(variance=0.25, num_prompts=785)
    assert effect == pytest.approx(0.05, rel=1e-3)


def test_the_detectable_effect_comes_from_the_pilots_variance() -> None:
    generator = np.random.default_rng(2)
    decided = (generator.random(400) < 0.5).astype(float)
    tied = np.where(generator.random(400) < 0.75, 0.5, decided)  # a quarter of the variance
    sharp, dull = (win_rate_from_verdicts(verdicts) for verdicts in (decided, tied))
    assert sharp.minimum_detectable_effect == pytest.approx(
        minimum_detectable_effect(variance=0.25, num_prompts=400), rel=0.02
    )
    assert dull.minimum_detectable_effect == pytest.approx(
        minimum_detectable_effect(variance=float(tied.var()), num_prompts=400), rel=0.05
    )


def test_the_power_is_what_it_says() -> None:
    generator = np.random.default_rng(3)
    effect = minimum_detectable_effect(variance=0.25, num_prompts=200)
    detected = 0
    for _ in range(400):
        verdicts = (generator.random(200) < 0.5 + effect).astype(float)
        detected += win_rate_from_verdicts(verdicts).is_distinguishable
    assert 0.74 <= detected / 400 <= 0.87


def test_refusals() -> None:
    with pytest.raises(DataError, match="dpo against sft: 1 prompts against 2"):
        win_rate(first=[[1.0]], second=[[1.0], [2.0]], name="dpo against sft")
    with pytest.raises(DataError, match="prompt 1 has no score"):
        win_rate(first=[[1.0], []], second=[[1.0], [2.0]])
    with pytest.raises(DataError, match="the set is empty"):
        win_rate(first=[], second=[])
    with pytest.raises(DataError, match=r"verdict 0\.7 at index 1"):
        win_rate_from_verdicts([1.0, 0.7])
    with pytest.raises(DataError, match="set of verdicts is empty"):
        win_rate_from_verdicts([])
    with pytest.raises(DataError, match="2 verdicts, but 1 cluster"):
        win_rate_from_verdicts([1.0, 0.0], clusters=["a"])
