"""Holm by hand, and its laws."""

from hypothesis import given
from hypothesis import strategies as st

from palate.measures.multiple import holm


def test_by_hand() -> None:
    # 0.01 · 4, 0.02 · 3, 0.03 · 2 (not below the one before), 0.5 · 1, in their old places.
    assert holm([0.02, 0.5, 0.01, 0.03]) == [0.06, 0.5, 0.04, 0.06]
    assert holm([0.4]) == [0.4]
    assert holm([]) == []
    assert holm([0.6, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_never_smaller_never_above_one_and_in_order(p_values: list[float]) -> None:
    found = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, found, strict=True))
    assert sorted(p_values) == [p for _, p in sorted(zip(found, p_values, strict=True))]
