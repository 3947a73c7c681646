import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palate.objectives.running import Moments, scaled_scores

SCORES = torch.tensor([1.0, -1.0, 2.0])


def test_by_hand() -> None:
    # Mean 2/3, squares 1/9 + 25/9 + 16/9 = 14/3.
    seen = Moments().joined(SCORES)
    assert seen.count == 3
    assert seen.mean == pytest.approx(2 / 3)
    assert seen.spread == pytest.approx((14 / 9) ** 0.5)


@given(parts=st.lists(st.lists(st.floats(-1e3, 1e3, width=32), max_size=6), min_size=1, max_size=5))
def test_parts_join_to_the_whole(parts: list[list[float]]) -> None:
    seen = Moments()
    for part in parts:
        seen = seen.joined(torch.tensor(part))
    whole = torch.tensor([x for part in parts for x in part], dtype=torch.float64)
    assert seen.count == len(whole)
    if len(whole):
        assert seen.mean == pytest.approx(float(whole.mean()), abs=1e-9)
        assert seen.squares == pytest.approx(
            float((whole - whole.mean()).square().sum()), rel=1e-9, abs=1e-9
        )


def test_equal_numbers_have_the_spread_one() -> None:
    assert Moments().spread == 1.0
    assert Moments().joined(torch.full((4,), 3.0)).spread == 1.0


def test_scores_are_scaled_then_cut_then_whitened() -> None:
    seen = Moments(count=4.0, mean=1.0, squares=16.0)  # spread 2
    assert torch.equal(scaled_scores(SCORES), SCORES)
    assert scaled_scores(SCORES, moments=seen).tolist() == [0.5, -0.5, 1.0]
    assert scaled_scores(SCORES, moments=seen, center=True).tolist() == [0.0, -1.0, 0.5]
    assert scaled_scores(SCORES, moments=seen, clip=0.4).tolist() == pytest.approx([0.4, -0.4, 0.4])
    white = scaled_scores(SCORES, whiten=True)
    torch.testing.assert_close(white, SCORES / (14 / 9) ** 0.5)
    same = torch.full((3,), 5.0)
    assert torch.equal(scaled_scores(same, whiten=True), same)
