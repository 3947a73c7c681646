"""Settings: contradictions, unknown keys, what YAML makes of numbers, derived sizes."""

from dataclasses import fields
from typing import Any

import pytest
import yaml

from palate.errors import RecipeError
from palate.training import stage_cautions
from palate.training.loss_checks import cautions
from palate.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardSettings,
    SFTSettings,
    StageSettings,
    choices,
)
from palate.training.trl_names import ELSEWHERE

STAGES: tuple[type[StageSettings], ...] = (SFTSettings, RewardSettings, DPOSettings, PPOSettings)


@pytest.mark.parametrize("stage", STAGES)
def test_defaults_go_through_yaml_and_back(stage: type[StageSettings]) -> None:
    settings = stage()
    text = yaml.safe_dump(settings.to_mapping())
    assert stage.from_mapping(yaml.safe_load(text)) == settings
    assert all(f.metadata["help"] for f in fields(settings))


@pytest.mark.parametrize(
    ("stage", "values", "words"),
    [
        (SFTSettings, {"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0"),
        (SFTSettings, {"per_device_train_batch_size": -1}, "per_device_train_batch_size is -1"),
        (SFTSettings, {"lora_dropout": 1.0}, r"must lie in \[0, 1\)"),
        (SFTSettings, {"max_steps": 0}, "give -1 or a number above 0"),
        (SFTSettings, {"max_steps": -2}, "max_steps is -2"),
        (SFTSettings, {"warmup_steps": -1}, "warmup_steps is -1; it must be 0 or more"),
        (SFTSettings, {"save_steps": -5}, "save_steps is -5"),
        (SFTSettings, {"max_grad_norm": -1.0}, "max_grad_norm"),
        (SFTSettings, {"early_stopping_patience": 2}, "set eval_steps too"),
        (SFTSettings, {"load_best_model_at_end": True}, "set eval_steps too"),
        (SFTSettings, {"adam_beta1": 1.5}, r"adam_beta1 is 1.5; it must lie in \[0, 1\)"),
        (SFTSettings, {"adam_epsilon": -1.0}, "adam_epsilon is -1.0"),
        (SFTSettings, {"seed": -1}, "seed is -1"),
        (SFTSettings, {"lora_alpha": 0.0}, "lora_alpha is 0.0"),
        (RewardSettings, {"center_rewards_coefficient": -1.0}, "center_rewards_coefficient is -1"),
        (RewardSettings, {"num_scale_samples": 0}, "num_scale_samples is 0"),
        (RewardSettings, {"max_new_tokens": -5}, "max_new_tokens is -5"),
        (RewardSettings, {"label_smoothing": 0.5}, r"must lie in \[0, 0.5\)"),
        (DPOSettings, {"beta": 0.0}, "beta is 0.0"),
        (DPOSettings, {"label_smoothing": -0.1}, "label_smoothing is -0.1"),
        (DPOSettings, {"loss_type": "ipo", "label_smoothing": 0.1}, "ipo loss has no noise model"),
        (DPOSettings, {"loss_type": "hinge", "label_smoothing": 0.1}, "hinge loss has no noise"),
        (DPOSettings, {"loss_type": "sigmod"}, "unknown; did you mean 'sigmoid'"),
        (DPOSettings, {"loss_type": "sigmoid,kto_par"}, "'kto_par', which is unknown; did you"),
        (DPOSettings, {"loss_type": "dpo"}, "here it is sigmoid$"),
        (DPOSettings, {"loss_type": "sigmoid,sppo"}, "'sppo', which is unknown; here it is sppo_h"),
        (DPOSettings, {"loss_type": "WPO"}, "sigmoid, with use_weighting"),
        (DPOSettings, {"loss_type": "ppo"}, "a method of its own: palate ppo"),
        (DPOSettings, {"loss_type": "grpo"}, "palate online --method grpo"),
        (DPOSettings, {"loss_type": "zzz"}, "it is one of sigmoid, robust, .*bco"),
        (DPOSettings, {"loss_type": "sft,sft"}, "names 'sft' twice"),
        (DPOSettings, {"loss_type": "sft,ipo", "loss_weights": "2"}, "has 1 numbers .* 2 losses"),
        (DPOSettings, {"loss_weights": "0"}, "must be above 0"),
        (DPOSettings, {"loss_weights": "much"}, "loss_weights is 'much'; give numbers"),
        (DPOSettings, {"loss_type": "exo_pair"}, "label_smoothing is 0, but loss_type exo_pair"),
        (DPOSettings, {"ref_model_mixup_alpha": 1.5}, "ref_model_mixup_alpha is 1.5"),
        (DPOSettings, {"ref_model_sync_steps": 0}, "ref_model_sync_steps is 0"),
        (DPOSettings, {"ld_alpha": 1.5}, "ld_alpha is 1.5"),
        (DPOSettings, {"simpo_gamma": -1.0}, "simpo_gamma is -1.0"),
        (DPOSettings, {"desirable_weight": 0.0}, "desirable_weight is 0.0"),
        (
            DPOSettings,
            {"loss_type": "sigmoid,nca_pair", "f_divergence_type": "forward_kl"},
            "f_divergence_type is forward_kl, but loss_type nca_pair",
        ),
        (
            DPOSettings,
            {"loss_type": "aot", "use_weighting": True},
            "use_weighting is on, but loss_type aot sorts",
        ),
        (PPOSettings, {"kl_coef": -0.1}, "kl_coef is -0.1"),
        (SFTSettings, {"metric_for_best_model": "loss"}, "did you mean 'eval_loss'"),
        (PPOSettings, {"metric_for_best_model": "eval_loss"}, "is one of eval_objective/rlhf_rew"),
        (
            PPOSettings,
            {"metric_for_best_model": "eval_objective/kl"},
            "what can be better or worse",
        ),
        (PPOSettings, {"temperature": 0.0}, "temperature is 0.0"),
        (
            PPOSettings,
            {"per_device_train_batch_size": 5, "num_mini_batches": 2},
            "5 prompts a rollout do not divide into num_mini_batches 2",
        ),
    ],
)
def test_contradictions_are_refused(
    stage: type[StageSettings], values: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        stage(**values)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        (SFTSettings(), "lr_scheduler_type", "one of linear, cosine, constant"),
        (SFTSettings(), "overlong", "one of refuse, drop"),
        (DPOSettings(), "f_divergence_type", "one of reverse_kl, forward_kl, js_divergence"),
        (PPOSettings(), "kl_penalty_in", "one of reward, loss"),
    ],
)
def test_words_that_are_no_choice_are_refused(
    settings: StageSettings, name: str, words: str
) -> None:
    """Set past the constructor, whose types the test suite checks before the class does."""
    object.__setattr__(settings, name, "other")
    with pytest.raises(RecipeError, match=f"{name} is 'other'; it is {words}"):
        settings.__post_init__()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("learning_rat", "DPOSettings has no setting 'learning_rat'; did you mean 'learning_rate'"),
        ("batch_size", "here it is per_device_train_batch_size"),
        ("lr", "here it is learning_rate"),
        ("warmup_ratio", "below 1 is a share"),
        ("padding_free", "there is never padding"),
        ("zzz", "it has adam_beta1, .*weight_decay"),
    ],
)
def test_unknown_keys_are_errors_that_help(key: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        DPOSettings.from_mapping({key: 1})


def test_the_hints_are_no_settings() -> None:
    known = {f.name for stage in STAGES for f in fields(stage)}
    # DPO has them, or PPO, or both; other stages say what stands for them there.
    assert known & ELSEWHERE.keys() == {
        "beta", "loss_type", "sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps",
        "entropy_coef",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("vllm_mode", "here it is nothing: training samples with its own engine"),
        ("entropy_coeff", "did you mean 'entropy_coef'"),  # not the family of entropy_…
        ("eval_step", "did you mean 'eval_steps'"),
        ("eval_accumulation_steps", "here it is nothing: evaluation is at eval_steps"),
        ("ppo_epochs", "here it is num_ppo_epochs"),
    ],
)
def test_a_slip_of_the_pen_comes_before_a_family(key: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        PPOSettings.from_mapping({key: 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("learning_rate: 1e-5", 1e-5),  # YAML 1.1 reads this as a string
        ("learning_rate: 0.5", 0.5),
        ("learning_rate: 1", 1.0),
        ("max_steps: 1e3", 1000),
        ("max_steps: '20'", 20),
        ("use_peft: false", False),
        ("output_dir: here", "here"),
    ],
)
def test_yaml_values_become_what_the_field_is(text: str, value: object) -> None:
    mapping = yaml.safe_load(text)
    (name,) = mapping
    found = getattr(SFTSettings.from_mapping(mapping), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning_rate: fast", "'fast'; it must be a number"),
        ("learning_rate: .nan", "finite number"),
        ("learning_rate: .inf", "finite number"),
        ("max_steps: .inf", "finite number"),
        ("learning_rate: null", "None; it must be a number"),
        ("learning_rate: true", "True"),
        ("max_steps: 2.5", "whole number"),
        ("max_steps: [1]", "it must be a number"),
        ("use_peft: 1", "true or false"),
        ("use_peft: 'yes'", "true or false"),
        ("output_dir: 3", "it must be a word"),
        ("lr_scheduler_type: 3", "it must be a word"),
    ],
)
def test_values_of_another_kind_are_refused(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        SFTSettings.from_mapping(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "losses"),
    [
        ("loss_type: sigmoid", (("sigmoid", 1.0),)),
        ("loss_type: [sigmoid, sft]", (("sigmoid", 1.0), ("sft", 1.0))),
        (
            "{loss_type: [sigmoid, bco_pair, sft], loss_weights: [0.8, 0.2, 1]}",
            (("sigmoid", 0.8), ("bco_pair", 0.2), ("sft", 1.0)),
        ),
        ("{loss_type: 'sigmoid, sft', loss_weights: '1, 0.5'}", (("sigmoid", 1.0), ("sft", 0.5))),
        ("{loss_type: sft, loss_weights: 2}", (("sft", 2.0),)),
    ],
)
def test_losses_and_weights_as_words_or_lists(
    text: str, losses: tuple[tuple[str, float], ...]
) -> None:
    settings = DPOSettings.from_mapping(yaml.safe_load(text))
    assert settings.losses == losses
    assert DPOSettings.from_mapping(settings.to_mapping()) == settings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ""),
        ({"simpo_gamma": 1.0}, "simpo_gamma has no effect with loss_type sigmoid: only simpo"),
        ({"loss_type": "sft", "beta": 0.5}, "beta has no effect with loss_type sft: it has no"),
        ({"f_alpha_divergence_coef": 0.3}, "f_divergence_type is reverse_kl, not alpha_divergence"),
        ({"undesirable_weight": 2.0}, "undesirable_weight has no effect"),
        ({"ref_model_sync_steps": 4}, "ref_model_sync_steps has no effect: sync_ref_model is off"),
        ({"sync_ref_model": True, "loss_type": "simpo"}, "sync_ref_model has no effect: loss_type"),
        ({"loss_type": "discopop"}, "discopop_tau is 0.05: below 0.102 discopop rises"),
        ({"loss_type": "discopop", "discopop_tau": 0.2}, ""),
        ({"loss_weights": "2"}, "only scales the gradient"),
        ({"loss_type": "sft", "ld_alpha": 0.5}, "counts every token"),
        ({"loss_type": "simpo,sft", "simpo_gamma": 1.0, "ld_alpha": 0.5}, ""),
    ],
)
def test_settings_without_effect_have_a_sentence(values: dict[str, Any], words: str) -> None:
    sentences = " ".join(cautions(DPOSettings(**values)))
    assert bool(sentences) == bool(words)
    assert words in sentences


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ""),
        ({"max_steps": 3, "num_train_epochs": 2.0}, "num_train_epochs has no effect: max_steps is"),
        ({"metric_for_best_model": "eval_mean_token_nll"}, "keeps nothing and stops nothing"),
        (
            {
                "metric_for_best_model": "eval_mean_token_nll", "eval_steps": 1,
                "load_best_model_at_end": True,
            },
            "",
        ),
        ({"sample_steps": 2, "num_sample_prompts": 0}, "sample_steps has no effect"),
    ],
)  # fmt: skip
def test_settings_of_every_stage_without_effect(values: dict[str, Any], words: str) -> None:
    sentences = " ".join(stage_cautions.cautions(SFTSettings(**values)))
    assert bool(sentences) == bool(words)
    assert words in sentences


def test_settings_of_adapters_without_effect() -> None:
    given = "the model is an adapter"
    asked = DPOSettings(lora_r=4, lora_dropout=0.1)
    assert stage_cautions.without_adapter(asked)[0] == (
        "lora_r has no effect: all weights are trained (use_peft is off)"
    )
    assert stage_cautions.adapter_cautions(asked, given) == [
        "lora_r has no effect: the model is an adapter",
        "lora_dropout has no effect: the model is an adapter",
    ]
    (told,) = stage_cautions.adapter_cautions(DPOSettings(use_peft=False), given)
    assert told.startswith("use_peft off has no effect: the model is an adapter; merge it first")
    assert stage_cautions.adapter_cautions(SFTSettings(), given) == []


def test_derived_sizes() -> None:
    settings = SFTSettings(per_device_train_batch_size=4, gradient_accumulation_steps=2)
    assert settings.rows_per_step == 8
    assert [settings.num_steps(n) for n in (1, 8, 9, 80)] == [1, 1, 2, 10]
    assert SFTSettings(num_train_epochs=2.5).num_steps(16) == 5
    assert SFTSettings(num_train_epochs=0.01).num_steps(16) == 1
    assert SFTSettings(max_steps=7).num_steps(1000) == 7


def test_lora_targets() -> None:
    assert SFTSettings().lora_targets == "all-linear"
    assert SFTSettings(lora_target_modules="q_proj, v_proj").lora_targets == ["q_proj", "v_proj"]
    assert SFTSettings(lora_target_modules="q_proj").lora_targets == ["q_proj"]


def test_choices_are_the_literals() -> None:
    assert choices(PPOSettings) == {
        "lr_scheduler_type": ("linear", "cosine", "constant"),
        "overlong": ("refuse", "drop"),
        "kl_estimator": ("k1", "k2", "k3"),
        "kl_penalty_in": ("reward", "loss"),
    }
