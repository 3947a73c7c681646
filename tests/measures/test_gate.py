"""The checks of a reward model, on rewards whose faults are planted."""

import json
from dataclasses import replace

import numpy as np
import pytest

from palate.errors import DataError
from palate.measures.gate import (
    GateLimits,
    GateReport,
    PairRewards,
    ProbedRewards,
    SampleScores,
    judge_reward,
)

COUNT = 400
GENERATOR = np.random.default_rng(0)
GROUPS = [f"prompt {i}" for i in range(COUNT)]
HEALTHY = SampleScores(mean=0.1, spread=1.1, share_without_eos=0.0, num_samples=100)


def _pairs() -> PairRewards:
    """A calibrated reward of 80 % accuracy; words and lengths say nothing."""
    margins = np.abs(GENERATOR.normal(scale=2.5, size=COUNT))
    agrees = GENERATOR.random(COUNT) < 1 / (1 + np.exp(-margins))
    margins = np.where(agrees, margins, -margins)
    words = GENERATOR.integers(0, 50, size=(COUNT, 2, 6))
    return PairRewards(
        chosen=margins / 2,
        rejected=-margins / 2,
        texts=[(" ".join(map(str, a)), " ".join(map(str, b))) for a, b in words],
        lengths=[(int(a), int(b)) for a, b in GENERATOR.integers(5, 20, size=(COUNT, 2))],
        groups=GROUPS,
    )


PAIRS = _pairs()


def _probed(name: str, change: float) -> ProbedRewards:
    return ProbedRewards(name, PAIRS.chosen, PAIRS.chosen + change, GROUPS)


def _failed(
    pairs: PairRewards = PAIRS,
    *probes: ProbedRewards,
    samples: SampleScores | None = HEALTHY,
    limits: GateLimits | None = None,
) -> set[str]:
    return {c.name for c in judge_reward(pairs, probes, samples, limits=limits).failed}


def _report() -> GateReport:
    probes = (_probed("repeat", -1.0), _probed("wrong-prompt", -1.0))
    return judge_reward(PAIRS, probes, HEALTHY)


def test_a_healthy_reward_passes_every_check() -> None:
    report = _report()
    assert report.failed == ()
    assert all(check.passed for check in report.checks)
    assert report.verdict.startswith("fit to be optimized against: 10 checks passed, accuracy 0.")
    assert 0.75 < report.accuracy.value < 0.9
    assert report.temperature == pytest.approx(1.0, abs=0.25)


def test_each_fault_is_found_by_its_check() -> None:
    backwards = replace(PAIRS, chosen=PAIRS.rejected, rejected=PAIRS.chosen)
    assert "accuracy" in _failed(backwards)
    assert _failed(replace(PAIRS, nats=8.0)) == {"calibration"}
    alike = replace(PAIRS, chosen=np.zeros(COUNT), rejected=np.zeros(COUNT))
    assert {"accuracy", "spread"} <= _failed(alike)
    margins = np.array([(a - b) / max(a, b) for a, b in PAIRS.lengths])
    assert "length" in _failed(replace(PAIRS, chosen=margins, rejected=np.zeros(COUNT)))
    assert _failed(samples=replace(HEALTHY, mean=65.0)) == {"sample-mean"}
    for spread in (0.0, 0.3, 9.0):
        assert _failed(samples=replace(HEALTHY, spread=spread)) == {"sample-spread"}


def test_pairs_that_length_or_words_decide_need_no_reward_model() -> None:
    longer = [(f"{a} and more of it", b) for a, b in PAIRS.texts]
    assert "beats-length" in _failed(replace(PAIRS, texts=longer))
    shorter = [(a, f"{b} and more of it") for a, b in PAIRS.texts]
    assert "beats-length" in _failed(replace(PAIRS, texts=shorter))
    polite = [(f"please {a[2:]}", f"sorry! {b[2:]}") for a, b in PAIRS.texts]
    assert "beats-bag-of-words" in _failed(replace(PAIRS, texts=polite))


def test_probes_that_pay_are_found() -> None:
    spread = float(np.concatenate([PAIRS.chosen, PAIRS.rejected]).std())
    assert _failed(PAIRS, _probed("repeat", 0.3 * spread)) == {"repeat"}
    assert _failed(PAIRS, _probed("repeat", 0.2 * spread)) == set()
    assert _failed(PAIRS, _probed("wrong-prompt", 0.0)) == {"wrong-prompt"}
    (effect,) = judge_reward(PAIRS, [_probed("cut", -0.5 * spread)], None).probes
    assert effect.raised is not None
    assert effect.raised.value == 0.0
    assert effect.change is not None
    assert effect.change.value == pytest.approx(-0.5)


def test_what_was_not_measured_is_said_and_fails_nothing() -> None:
    empty = ProbedRewards("repeat", np.empty(0), np.empty(0), [])
    report = judge_reward(PAIRS, [empty], None)
    assert report.failed == ()
    assert report.verdict.endswith("not measured: repeat, sample-mean, sample-spread")
    assert {c.name for c in report.checks if c.passed is None} == {
        "repeat", "sample-mean", "sample-spread",
    }  # fmt: skip


def test_limits_are_settings_with_reasons() -> None:
    assert _failed(limits=GateLimits(accuracy_low=0.95)) == {"accuracy"}
    for check in _report().checks:
        assert check.reason
        assert check.meaning


def test_the_report_is_json_and_names_what_failed() -> None:
    found = judge_reward(PAIRS, [_probed("repeat", 2.0)], HEALTHY)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["passed"] is False
    assert content["verdict"] == found.verdict
    assert "repeat (mean change of reward in spreads" in content["verdict"]
    (repeat,) = [c for c in content["checks"] if c["name"] == "repeat"]
    assert repeat["passed"] is False
    assert repeat["value"] == pytest.approx(content["probes"][0]["change"]["value"])
    assert content["accuracy"].keys() == {"value", "low", "high", "n", "unit"}
    assert content["calibration"]["bins"]


def test_too_few_prompts_are_refused() -> None:
    few = replace(PAIRS, groups=["one", "two", "three", "four"] * 100)
    with pytest.raises(DataError, match="at least 5 prompts, and there are 4"):
        judge_reward(few, [], None)
