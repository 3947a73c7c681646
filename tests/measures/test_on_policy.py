import numpy as np
import pytest

from palate.errors import DataError
from palate.measures.on_policy import OWN_QUANTILE, judge_fit


def test_a_models_own_responses_pass_for_its_own() -> None:
    generator = np.random.default_rng(0)
    shares = []
    for _ in range(50):
        chosen, rejected, samples = generator.normal(-1, 0.3, (3, 200))
        fit = judge_fit(
            chosen=chosen, rejected=rejected, samples=samples, prompts=range(200),
            sample_prompts=range(200),
        )  # fmt: skip
        assert fit.advice == "fine"
        assert fit.gap.low <= 0.2
        assert fit.prefers_chosen is not None
        shares.append(fit.on_policy.value)
    # The quantile is estimated too: its own share of 1 − 0.05 within three standard errors.
    assert np.mean(shares) == pytest.approx(1 - OWN_QUANTILE, abs=0.02)


def test_unlikely_responses_ask_for_sft_and_the_words_say_so() -> None:
    samples = np.linspace(-1.5, -0.5, 101)  # their 5 % quantile is −1.45
    chosen = np.where(np.arange(101) < 10, -1.0, -4.0)
    fit = judge_fit(
        chosen=chosen, rejected=chosen - 1, samples=samples, prompts=range(101),
        sample_prompts=range(101),
    )  # fmt: skip
    assert fit.advice == "sft-first"
    assert fit.on_policy.value == pytest.approx(10 / 101)
    assert fit.gap.value == pytest.approx(-1 - chosen.mean())
    assert fit.rejected is not None
    assert fit.rejected.value == pytest.approx(fit.chosen.value - 1)
    assert fit.prefers_chosen is not None
    assert fit.prefers_chosen.value == 1
    assert fit.verdict().startswith("do SFT on the chosen responses first")
    assert "10% of the responses" in fit.verdict()
    written = fit.to_json()
    assert (written["advice"], written["on_policy"]["n"]) == ("sft-first", 101)


def test_half_and_half_is_undecided() -> None:
    chosen = np.tile([-1.0, -4.0], 25)
    fit = judge_fit(
        chosen=chosen, rejected=None, samples=np.full(50, -1.0), prompts=range(50),
        sample_prompts=range(50),
    )  # fmt: skip
    assert fit.advice == "undecided"
    assert (fit.rejected, fit.rejected_on_policy, fit.prefers_chosen) == (None, None, None)


def test_one_prompt_is_no_evidence() -> None:
    with pytest.raises(DataError, match="two independent"):
        judge_fit(chosen=[-1.0], rejected=None, samples=[-1.0], prompts=["q"], sample_prompts=["q"])
