import pytest
import torch

from palate.objectives.averaging import Average, token_weights

LENGTHS = torch.tensor([1, 4, 5])


def weights(average: Average) -> torch.Tensor:
    return token_weights(
        lengths=LENGTHS, average=average, num_responses=3, num_tokens=10, max_length=8
    )


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        ("grpo", [1 / 3, 1 / 12, 1 / 15]),
        ("dapo", [0.1, 0.1, 0.1]),
        ("bnpo", [0.1, 0.1, 0.1]),
        ("dr_grpo", [1 / 24, 1 / 24, 1 / 24]),
    ],
)
def test_by_hand(average: Average, expected: list[float]) -> None:
    torch.testing.assert_close(weights(average), torch.tensor(expected))


@pytest.mark.parametrize(("average", "whole"), [("grpo", 1.0), ("dapo", 1.0), ("dr_grpo", 10 / 24)])
def test_all_tokens_together(average: Average, whole: float) -> None:
    assert float((weights(average) * LENGTHS).sum()) == pytest.approx(whole)
