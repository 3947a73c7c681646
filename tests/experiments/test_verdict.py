from dataclasses import replace

import pytest

from palate.experiments.verdict import Evidence, reach_verdict
from palate.measures.estimate import Estimate


def estimate(value: float, low: float, high: float, unit: str = "gold reward") -> Estimate:
    return Estimate(value, low, high, 200, unit)


EVIDENCE = Evidence(
    difference=estimate(0.02, -0.01, 0.05),
    matched_kl=4.2,
    gains={"dpo": estimate(1.0, 0.9, 1.1), "rlhf": estimate(1.1, 1.0, 1.2)},
    win_rate=estimate(0.52, 0.46, 0.58, "share"),
    times=4.1,
    num_prompts=200,
    num_seeds=1,
)


@pytest.mark.parametrize(
    ("difference", "choice"),
    [
        ((0.3, 0.1, 0.5), "rlhf"),
        ((-0.3, -0.5, -0.1), "dpo"),
        # No gain above a tenth of what training gained: nothing to pay four times for.
        ((0.02, -0.01, 0.05), "dpo"),
        ((0.1, -0.2, 0.4), "not distinguishable"),
    ],
)
def test_choice_follows_the_interval(difference: tuple[float, float, float], choice: str) -> None:
    verdict = reach_verdict(replace(EVIDENCE, difference=estimate(*difference)))
    assert verdict["choice"] == choice


def test_sentence_carries_gain_interval_and_price() -> None:
    sentence = reach_verdict(EVIDENCE)["sentence"]
    assert sentence == (
        "DPO is enough here: PPO gains +0.02 [−0.01, +0.05] gold reward at the same KL, for 4.1 "
        "times the time."
    )


def test_one_seed_speaks_of_models_three_of_roads() -> None:
    assert "of these trained models" in reach_verdict(EVIDENCE)["confidence"]
    assert "of the roads" in reach_verdict(replace(EVIDENCE, num_seeds=3))["confidence"]


@pytest.mark.parametrize("kl", [0.0, 0.05, 0.19])
def test_a_road_that_hardly_left_the_sft_model_is_no_basis(kl: float) -> None:
    """Less than log 2 − 1/2 nats, which picking the better of two samples takes."""
    sure = replace(EVIDENCE, difference=estimate(0.3, 0.1, 0.5))
    verdict = reach_verdict(replace(sure, matched_kl=kl))
    assert verdict["choice"] == "no verdict"
    assert "at the same KL" not in verdict["sentence"]
    assert len(verdict["because"]) == 3
    assert reach_verdict(replace(sure, matched_kl=0.2))["choice"] == "rlhf"


def test_undecided_says_what_could_have_been_seen() -> None:
    """A half-width of 0.3 is 1.96 standard errors; 80 % power takes 2.80 of them: 0.43."""
    verdict = reach_verdict(replace(EVIDENCE, difference=estimate(0.1, -0.2, 0.4)))
    assert "a difference of 0.43 at this KL would have been seen" in verdict["sentence"]


def test_an_rlhf_arm_that_ppo_did_not_train_is_not_called_ppo() -> None:
    sentence = reach_verdict(replace(EVIDENCE, trained_by="RLHF"))["sentence"]
    assert "RLHF gains" in sentence
    assert "PPO" not in sentence


def test_a_cost_that_was_not_measured_is_not_a_number() -> None:
    sentence = reach_verdict(replace(EVIDENCE, times=None))["sentence"]
    assert "at a cost that was not measured" in sentence
