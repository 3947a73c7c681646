import torch

from palate.objectives.ensemble import cautious_rewards

# Means 2 and 2; standard deviations (n − 1) 1 and 0.
BY_HEAD = torch.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])


def test_by_hand() -> None:
    assert cautious_rewards(BY_HEAD, uncertainty_coef=0.0).tolist() == [2.0, 2.0]
    assert cautious_rewards(BY_HEAD, uncertainty_coef=0.5).tolist() == [1.5, 2.0]


def test_one_head_is_never_unsure() -> None:
    assert cautious_rewards(BY_HEAD[:, :1], uncertainty_coef=3.0).tolist() == [1.0, 2.0]
