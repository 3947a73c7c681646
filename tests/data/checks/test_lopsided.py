import pytest

from palate.data.checks.lopsided import Lopsided
from palate.data.records import Demonstration, Preference


def counted(rows: list[Preference] | list[Demonstration]) -> Lopsided:
    lopsided = Lopsided()
    for row in rows:
        lopsided.add(row)
    return lopsided


def test_the_share_of_longer_chosen_leaves_equal_lengths_out() -> None:
    pairs = [Preference("q", "aa", "b"), Preference("q", "aa", "bbb"), Preference("q", "a", "b")]
    assert (counted(pairs).longer_share, counted(pairs).num_unequal) == (0.5, 2)
    assert counted(pairs[2:]).longer_share is None
    assert counted(pairs).desirable_share is None


@pytest.mark.parametrize(("num_longer", "num_faults"), [(18, 0), (19, 1)])
def test_the_length_shortcut_is_a_warning_above_nine_tenths(
    num_longer: int, num_faults: int
) -> None:
    pairs = [Preference(f"q{i}", "long", "no") for i in range(num_longer)]
    pairs += [Preference(f"q{i}", "no", "long") for i in range(num_longer, 20)]
    assert [f.code for f in counted(pairs).faults()] == ["W408"] * num_faults


@pytest.mark.parametrize(("num_true", "codes"), [(1, ["W418"]), (2, []), (18, []), (19, ["W418"])])
def test_labels_of_one_kind_are_a_warning(num_true: int, codes: list[str]) -> None:
    rows = [Demonstration(f"q{i}", "a", desirable=i < num_true) for i in range(20)]
    assert [f.code for f in counted(rows).faults()] == codes
    assert counted(rows).desirable_share == num_true / 20


def test_few_rows_are_no_evidence() -> None:
    assert counted([Preference(f"q{i}", "long", "no") for i in range(19)]).faults() == []
    assert counted([Demonstration(f"q{i}", "a", desirable=True) for i in range(19)]).faults() == []
