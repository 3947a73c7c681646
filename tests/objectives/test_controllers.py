import pytest

from palate.objectives.controllers import adapted_kl_coef


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (6.0, 0.2),  # on target
        (6.6, 0.2 * (1 + 0.1 * 0.0512)),  # 10 % above
        (5.4, 0.2 * (1 - 0.1 * 0.0512)),
        (60.0, 0.2 * (1 + 0.2 * 0.0512)),  # far off counts as 20 % off
        (0.0, 0.2 * (1 - 0.2 * 0.0512)),
        (-3.0, 0.2 * (1 - 0.2 * 0.0512)),  # k1 of one rollout may be negative
    ],
)
def test_the_formula_of_ziegler(kl: float, expected: float) -> None:
    """512 responses and a horizon of 10000: K_β = 0.0512."""
    found = adapted_kl_coef(kl_coef=0.2, kl=kl, target=6.0, num_responses=512, horizon=10_000)
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_policy_that_answers_the_weight_comes_to_the_target() -> None:
    """Where KL = 1 / weight, the weight that holds the KL at 4 is 0.25, from either side."""
    for coef in (0.02, 3.0):
        for _ in range(2000):
            coef = adapted_kl_coef(
                kl_coef=coef, kl=1 / coef, target=4.0, num_responses=64, horizon=1000
            )
        assert coef == pytest.approx(0.25, rel=1e-3)
