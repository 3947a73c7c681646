from collections.abc import Sequence

import pytest
import torch
from tests import tiny
from torch import Tensor

from palate.data.trees import Forest, Response, Tree, plant
from palate.errors import NumericalError, UsageError
from palate.models.attention import Plan, plan_forest
from palate.training.scores import checked_scores

TREES = [
    Tree((5, 6), (Response((7, 2)), Response((2,))), origin="rows.jsonl:1"),
    Tree((8,), (Response((9,)),), origin="rows.jsonl:2"),
]


def _scores(values: list[float]) -> Tensor:
    def reward(trees: Sequence[Tree], forest: Forest, plan: Plan) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    forest = plant(TREES)
    return checked_scores(reward, TREES, forest, plan_forest(forest), tokenizer=tiny.tokenizer())


def test_sound_scores_are_float32() -> None:
    assert _scores([1.0, 2.0, 0.5]).tolist() == [1.0, 2.0, 0.5]
    assert _scores([1.0, 2.0, 0.5]).dtype == torch.float32


def test_a_wrong_number_names_the_prompts() -> None:
    with pytest.raises(
        UsageError, match=r"shape \(2,\) for 3 responses .*'w5 w6' \(rows.jsonl:1\)"
    ):
        _scores([1.0, 2.0])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_names_its_prompt(bad: float) -> None:
    with pytest.raises(NumericalError) as caught:
        _scores([1.0, 2.0, bad])
    assert f"first {bad}; prompts: 'w8' (rows.jsonl:2)" in str(caught.value)
    assert "rows.jsonl:1" not in str(caught.value)
    assert caught.value.exit_code == 3
