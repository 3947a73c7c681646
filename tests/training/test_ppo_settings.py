"""Settings of PPO: what contradicts, what has no effect, what the four sizes come to."""

from typing import Any

import pytest
import yaml

from palate.errors import RecipeError
from palate.training.ppo_checks import cautions
from palate.training.settings import PPOSettings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kl_penalty_in": "loss"}, "kl_estimator is k1, but kl_penalty_in is loss"),
        ({"whiten_rewards": True, "use_score_scaling": True}, "whiten_rewards and use_score_sc"),
        ({"adap_kl_ctrl": True, "kl_coef": 0.0}, "adap_kl_ctrl multiplies kl_coef, but"),
        (
            {"adap_kl_ctrl": True, "adap_kl_target": 9.0, "kl_budget": 8.0},
            "adap_kl_target is 9.0, but kl_budget is 8.0",
        ),
        ({"adap_kl_ctrl": True, "adap_kl_horizon": 10}, "adap_kl_horizon is 10.*above 12.8"),
        ({"value_warmup_steps": 3, "max_steps": 3}, "value_warmup_steps is 3, but max_steps is 3"),
        ({"gold_patience": 2}, "gold_patience compares evaluations, but eval_steps is 0"),
        ({"vf_coef": 0.0}, "vf_coef is 0.* palate online"),
        ({"missing_eos_penalty": -5.0}, "missing_eos_penalty is -5.0; it must be 0 or more"),
        ({"stop": ("",)}, "stop has an empty text"),
        ({"kl_budget": -1.0}, "kl_budget is -1.0; it must be 0 or more"),
        ({"entropy_coef": -0.1}, "entropy_coef is -0.1"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        PPOSettings(**values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lora_dropout": 0.1}, "lora_dropout 0.1 has no effect: PPO learns with dropout off"),
        ({"kl_coef": 0.0, "kl_estimator": "k3"}, "kl_estimator has no effect: kl_coef is 0"),
        ({"adap_kl_target": 3.0}, "adap_kl_target has no effect: adap_kl_ctrl is off"),
        ({"use_score_norm": True}, "use_score_norm has no effect"),
        ({"num_ppo_epochs": 1, "target_kl": 0.1}, "target_kl has no effect: with one optimizer"),
    ],
)
def test_settings_without_effect_are_told(values: dict[str, Any], words: str) -> None:
    (told,) = cautions(PPOSettings(**values))
    assert words in told


def test_sound_settings_say_nothing() -> None:
    assert cautions(PPOSettings()) == []
    both = PPOSettings(kl_penalty_in="loss", kl_estimator="k2", adap_kl_ctrl=True, kl_budget=8.0)
    assert cautions(both) == []


def test_the_sizes_in_words() -> None:
    settings = PPOSettings(
        per_device_train_batch_size=8, gradient_accumulation_steps=2, num_samples_per_prompt=4,
        num_ppo_epochs=3, num_mini_batches=2, max_steps=10,
    )  # fmt: skip
    assert settings.describe_sizes(100) == (
        "16 prompts × 4 responses = 64 responses a rollout; 3 passes × 2 minibatches of 32 "
        "responses = 6 optimizer steps a rollout; 10 rollouts: 640 responses, 60 optimizer steps"
    )


def test_stop_texts_are_a_text_or_a_list() -> None:
    for given in ("stop: 'User:'", "stop: ['User:', \"\\n\\n\"]"):
        settings = PPOSettings.from_mapping(yaml.safe_load(given))
        assert settings.stop[0] == "User:"
        again = yaml.safe_load(yaml.safe_dump(settings.to_mapping()))
        assert PPOSettings.from_mapping(again) == settings
    with pytest.raises(RecipeError, match="stop is 3; it must be a text, or a list of texts"):
        PPOSettings.from_mapping({"stop": 3})


def test_an_evaluation_over_the_budget_is_never_the_best() -> None:
    settings = PPOSettings(kl_budget=2.0)
    assert settings.admits({"eval_objective/kl": 2.0})
    assert not settings.admits({"eval_objective/kl": 2.1})
    assert PPOSettings().admits({"eval_objective/kl": 99.0})
