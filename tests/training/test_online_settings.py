"""What the methods read, what contradicts, what has no effect."""

import re
from dataclasses import fields
from typing import Any

import pytest

from palate.errors import RecipeError
from palate.training.online_checks import cautions
from palate.training.online_settings import USES, OnlineSettings
from palate.training.sampling_settings import SamplingSettings


def test_every_setting_of_its_own_is_read_by_some_method() -> None:
    own = {f.name for f in fields(OnlineSettings)} - {f.name for f in fields(SamplingSettings)}
    read = frozenset().union(*USES.values())
    assert own - {"method", "metric_for_best_model"} <= read
    assert read <= {f.name for f in fields(OnlineSettings)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_samples_per_prompt": 1}, "num_samples_per_prompt is 1"),
        ({"method": "grpo", "loss_type": "sigmoid"}, "grpo averages tokens as one of auto, dapo"),
        ({"method": "online-dpo", "loss_type": "kto"}, "learns from pairs, one at a time"),
        ({"method": "online-dpo", "loss_type": "aot"}, "learns from pairs, one at a time"),
        ({"method": "online-dpo", "loss_type": "sigmoyd"}, "did you mean 'sigmoid'"),
        ({"method": "online-dpo", "loss_type": "hinge", "label_smoothing": 0.1}, "no noise model"),
        ({"method": "online-dpo", "kl_coef": 0.0}, "kl_coef is 0, but .* must be above 0"),
        ({"num_mini_batches": 7}, "do not divide into num_mini_batches 7"),
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"epsilon_high": -0.1}, "epsilon_high is -0.1"),
        ({"num_rounds": 0}, "num_rounds is 0"),
    ],
)
def test_contradictions_are_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        OnlineSettings(**changes)
    assert re.search(words, str(caught.value))


def test_settings_that_the_method_does_not_read_are_told() -> None:
    found = cautions(OnlineSettings(method="rloo", scale_rewards="none", num_rounds=5))
    assert found == [
        "scale_rewards has no effect with method rloo: only grpo read it",
        "num_rounds has no effect with method rloo: only iterated-dpo read it",
    ]
    assert cautions(OnlineSettings(method="grpo", scale_rewards="none", loss_type="dr_grpo")) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lora_dropout": 0.1}, "rloo learns with dropout off"),
        ({"epsilon": 0.1}, "epsilon has no effect: with one optimizer step"),
        ({"epsilon": 0.1, "num_iterations": 2}, ""),
        ({"method": "best-of-n", "kl_coef": 0.2}, "kl_coef changes metrics alone"),
        ({"method": "best-of-n", "lora_dropout": 0.1}, ""),
        (
            {"method": "grpo", "kl_coef": 0.0, "use_bias_correction_kl": False},
            "use_bias_correction_kl has no effect: kl_coef is 0",
        ),
        ({"method": "grpo", "loss_type": "bnpo"}, "bnpo is dapo here"),
        (
            {"method": "iterated-dpo", "num_rounds": 1, "round_reference": "last-round"},
            "round_reference has no effect: num_rounds is 1",
        ),
        ({"method": "online-dpo", "loss_type": "sft", "kl_coef": 0.2}, "kl_coef has no effect"),
        ({"method": "online-dpo", "loss_type": "sft"}, ""),
        ({"method": "online-dpo", "loss_type": "discopop"}, "discopop rises"),
    ],
)
def test_what_a_method_reads_and_yet_has_no_effect_is_told(
    values: dict[str, Any], words: str
) -> None:
    sentences = " ".join(cautions(OnlineSettings(**values)))
    assert bool(sentences) == bool(words)
    assert words in sentences


def test_pair_methods_become_settings_of_the_dpo_family() -> None:
    settings = OnlineSettings(method="online-dpo", kl_coef=0.3, loss_type="ipo", seed=4)
    pair = settings.pair_settings()
    assert (pair.beta, pair.loss_type, pair.seed) == (0.3, "ipo", 4)
    assert OnlineSettings(method="iterated-dpo").pair_settings().loss_type == "sigmoid"


@pytest.mark.parametrize(
    ("rounds", "steps", "lengths"),
    [
        (10, 2, [1, 1]),
        (3, 9, [3, 3, 3]),
        (3, 10, [3, 3, 4]),
        (4, 5, [1, 1, 1, 2]),
        (6, 10, [1, 2, 2, 1, 2, 2]),
    ],
)
def test_steps_are_parted_into_rounds(rounds: int, steps: int, lengths: list[int]) -> None:
    settings = OnlineSettings(num_rounds=rounds)
    parted = settings.rounds(steps)
    assert [len(some) for some in parted] == lengths
    assert [step for some in parted for step in some] == list(range(1, steps + 1))
