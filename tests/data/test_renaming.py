"""Columns under other names, and slips of names that people write by hand."""

import pytest

from palate.data.formats import known_layout
from palate.data.formats.known import slip_of
from palate.data.layout import Layout
from palate.data.sources import preferences_from_rows, prompts_from_rows
from palate.errors import DataError, RecipeError


def test_a_named_column_wins_over_one_that_has_our_name() -> None:
    rows = [{"prompt": "not this", "question": "q", "chosen": "a", "rejected": "b"}]
    (pair,) = preferences_from_rows(rows, layout=Layout(columns={"prompt": "question"})).records
    assert pair.prompt == "q"


def test_a_column_that_only_some_rows_have_is_no_slip() -> None:
    rows = [{"prompt": "p"}, {"question": "q"}]
    found = prompts_from_rows(rows, layout=Layout(columns={"prompt": "question"})).records
    assert [one.prompt for one in found] == ["p", "q"]


def test_a_column_that_no_row_has_is_told_though_the_rows_could_be_read() -> None:
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b", "wieght": 2}]
    with pytest.raises(RecipeError, match=r"weight=weight, but no row .* did you mean wieght"):
        preferences_from_rows(rows, layout=Layout(columns={"weight": "weight"}))


def test_rows_inside_another_object_are_told_how_to_get_out() -> None:
    rows = [{"data": [{"prompt": "p", "chosen": "a", "rejected": "b"}], "version": 1}]
    with pytest.raises(DataError, match=r"all rows stand inside 'data'.*jq \.data FILE"):
        preferences_from_rows(rows)


@pytest.mark.parametrize(
    ("ours", "near"),
    [("promt", "prompt"), ("choosen", "chosen"), ("rejectd", "rejected"), ("lable", "label")],
)
def test_slips_of_our_names_are_refused(ours: str, near: str) -> None:
    assert slip_of(ours) == near
    with pytest.raises(RecipeError, match=f"did you mean {near}=x"):
        known_layout(Layout(columns={ours: "x"}))


@pytest.mark.parametrize("own", ["answer", "question", "labels", "level", "prompt", "messages"])
def test_names_of_a_reward_functions_columns_are_no_slips(own: str) -> None:
    assert slip_of(own) == ""
