"""The comparison's numbers on grids whose truth is known: no model is trained here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from palate.data.records import Prompt
from palate.data.render import Renderer
from palate.errors import UsageError
from palate.experiments.arms import Arm, Measured, best_of_n
from palate.experiments.comparison import Comparison
from palate.experiments.cost import Cost
from palate.experiments.results import results_of
from palate.models.sampling import Sample

NUM_PROMPTS = 80
PROMPTS = [Prompt(f"prompt {i}") for i in range(NUM_PROMPTS)]


def measured(*, gain: float, kl: float, seed: int = 0) -> Measured:
    noise = np.random.default_rng(seed).normal(size=(NUM_PROMPTS, 2))
    grid = np.zeros((NUM_PROMPTS, 2))
    return Measured(
        texts=[["a", "b"]] * NUM_PROMPTS,
        gold=noise * 0.3 + gain,
        proxy=noise * 0.3 + 2 * gain,
        kl=grid + kl,
        kl_k1=grid + kl,
        kl_k3=grid + kl,
        length=grid + 10,
        stopped=grid + 1,
    )


def arms() -> list[Arm]:
    return [
        Arm("sft", "sft", "sft", "SFT", {0: None}),
        Arm("dpo-weak", "dpo", "dpo", "DPO weak", {0: None}),
        Arm("dpo-strong", "dpo", "dpo", "DPO strong", {0: None}),
        Arm("ppo", "ppo", "rlhf", "PPO", {0: None}),
    ]


def comparison(*, ppo_gain: float) -> Comparison:
    numbers = {
        "sft": {0: measured(gain=0.0, kl=0.0)},
        "dpo-weak": {0: measured(gain=0.5, kl=1.0, seed=1)},
        "dpo-strong": {0: measured(gain=1.0, kl=4.0, seed=2)},
        "ppo": {0: measured(gain=ppo_gain, kl=4.0, seed=3)},
    }
    return Comparison(arms(), PROMPTS, numbers)


def test_halves_share_no_prompt_and_cover_all() -> None:
    found = comparison(ppo_gain=1.0)
    together = np.sort(np.concatenate([found.choose, found.judge]))
    assert (together == np.arange(NUM_PROMPTS)).all()


def test_best_arm_of_a_road_is_chosen_on_the_other_half() -> None:
    found = comparison(ppo_gain=1.0)
    assert found.chosen("dpo") == "dpo-strong"
    numbers = {**found.measured}
    # On the judging half alone the weak arm is made the best: it must not be chosen for that.
    weak = measured(gain=0.5, kl=1.0, seed=1)
    assert weak.gold is not None
    weak.gold[found.judge] += 10
    again = Comparison(arms(), PROMPTS, {**numbers, "dpo-weak": {0: weak}})
    assert again.chosen("dpo") == "dpo-strong"


def test_a_winner_is_found_at_matched_kl() -> None:
    results = results_of(comparison(ppo_gain=2.0), title="planted")
    assert results["verdict"]["choice"] == "rlhf"
    assert results["matched"]["kl"] == pytest.approx(4.0)
    low, high = (results["matched"]["difference"][side] for side in ("low", "high"))
    assert low < 1.0 < high


def test_a_loser_is_found() -> None:
    assert results_of(comparison(ppo_gain=0.2), title="planted")["verdict"]["choice"] == "dpo"


def test_an_arm_against_itself_is_a_tie() -> None:
    found = comparison(ppo_gain=1.0)
    itself = found.head_to_head("ppo", "ppo")
    assert itself["win_rate"]["value"] == 0.5
    assert itself["difference"]["value"] == 0.0
    assert itself["p_value"] == 1.0


def test_swapping_arms_mirrors_the_result() -> None:
    found = comparison(ppo_gain=1.5)
    there, back = found.head_to_head("ppo", "sft"), found.head_to_head("sft", "ppo")
    assert there["win_rate"]["value"] == pytest.approx(1 - back["win_rate"]["value"])
    assert there["difference"]["low"] == pytest.approx(-back["difference"]["high"])


def test_what_was_not_measured_is_null() -> None:
    numbers = {name: dict(by_seed) for name, by_seed in comparison(ppo_gain=1.0).measured.items()}
    for by_seed in numbers.values():
        one = by_seed[0]
        by_seed[0] = Measured(**{**vars(one), "gold": None})
    results = results_of(Comparison(arms(), PROMPTS, numbers), title="no gold")
    assert all(arm["gold_reward"] is None for arm in results["arms"].values())
    assert results["unit_gold"] == "proxy reward"


def test_an_arm_without_a_bill_has_no_price() -> None:
    """Not measured is null in the file, and no number in the sentence."""
    found = results_of(comparison(ppo_gain=2.0), title="unmetered")
    assert found["arms"]["ppo"]["cost"] is None
    assert "at a cost that was not measured" in found["verdict"]["sentence"]
    rich = [replace(arm, cost=Cost(wall_s=3.0 if arm.road == "rlhf" else 2.0)) for arm in arms()]
    priced = results_of(
        Comparison(rich, PROMPTS, comparison(ppo_gain=2.0).measured), title="metered"
    )
    assert priced["arms"]["ppo"]["cost"]["wall_s"] == 3.0
    assert "for 1.5 times the time" in priced["verdict"]["sentence"]


def planted(gains: Mapping[str, Sequence[float]], *, kl: float = 2.0) -> Comparison:
    """SFT at 0, and for every other arm a run a gain; seeds are numbered arm by arm."""
    numbers = {"sft": {0: measured(gain=0.0, kl=0.0)}}
    for place, (name, each) in enumerate(gains.items()):
        numbers[name] = {
            10 * place + run: measured(gain=gain, kl=kl, seed=7 + 100 * place + run)
            for run, gain in enumerate(each)
        }
    return Comparison([arm for arm in arms() if arm.name in numbers], PROMPTS, numbers)


def test_with_three_seeds_the_verdict_speaks_of_roads_and_bears_their_spread() -> None:
    sure = results_of(planted({"dpo-weak": [0.5] * 3, "ppo": [1.5] * 3}), title="sure")
    unsure = results_of(planted({"dpo-weak": [0.5] * 3, "ppo": [-0.5, 1.5, 3.5]}), title="unsure")
    assert (sure["num_seeds"], sure["verdict"]["choice"]) == (3, "rlhf")
    assert "of the roads" in sure["verdict"]["confidence"]
    # The mean is the same; it is the seeds that disagree.
    assert unsure["matched"]["difference"]["value"] == pytest.approx(1.0, abs=0.1)
    assert unsure["verdict"]["choice"] == "not distinguishable"


def test_what_could_have_been_detected_is_of_the_difference_that_the_verdict_speaks_of() -> None:
    """1.43 half-widths of the matched difference, the spread between seeds within it."""
    results = results_of(planted({"dpo-weak": [0.5] * 3, "ppo": [-0.5, 1.5, 3.5]}), title="unsure")
    low, high = (results["matched"]["difference"][side] for side in ("low", "high"))
    assert f"a difference of {1.429 * (high - low) / 2:.2f} at" in results["verdict"]["sentence"]


def test_runs_meet_in_order_whatever_their_seeds_are_called() -> None:
    found = planted({"dpo-weak": [0.0, 1.0], "ppo": [1.0, 2.0]})
    assert found.seeds == [0, 1, 10, 11]
    difference = found.difference("ppo", "dpo-weak")
    assert difference.value == pytest.approx(1.0, abs=0.1)


def test_arms_of_the_roads_need_the_same_number_of_seeds() -> None:
    with pytest.raises(UsageError, match="dpo-weak has 2, ppo has 3"):
        planted({"dpo-weak": [0.5] * 2, "ppo": [1.0] * 3})


def test_near_the_sft_model_there_is_no_verdict() -> None:
    """Both roads start there: the difference at 0.01 nats is near 0 whatever the roads are."""
    results = results_of(planted({"dpo-weak": [0.0], "ppo": [2.0]}, kl=0.01), title="hardly moved")
    assert results["matched"]["kl"] == pytest.approx(0.01)
    assert results["verdict"]["choice"] == "no verdict"
    assert "0.01 nats" in results["verdict"]["sentence"]
    assert "train longer" in results["verdict"]["sentence"]


def test_a_road_that_never_left_gives_no_verdict() -> None:
    numbers = {**comparison(ppo_gain=2.0).measured, "ppo": {0: measured(gain=2.0, kl=0.0)}}
    results = results_of(Comparison(arms(), PROMPTS, numbers), title="untrained")
    assert results["matched"] is None
    assert results["verdict"]["choice"] == "no verdict"


def test_three_seeds_widen_the_interval_by_the_spread_between_them() -> None:
    def with_seeds(gains: list[float]) -> Comparison:
        numbers = {
            arm.name: {
                seed: measured(gain=gain if arm.name == "ppo" else 0.5, kl=2.0, seed=7)
                for seed, gain in enumerate(gains)
            }
            for arm in arms()
        }
        return Comparison(arms(), PROMPTS, numbers)

    narrow = with_seeds([1.0, 1.0, 1.0]).estimate("ppo", "gold", "gold reward")
    wide = with_seeds([0.0, 1.0, 2.0]).estimate("ppo", "gold", "gold reward")
    assert narrow is not None
    assert wide is not None
    assert wide.value == pytest.approx(narrow.value)
    # t(2 degrees of freedom) · 1/√3 = 4.303 · 0.577 = 2.48 joins in.
    assert wide.half_width == pytest.approx(np.hypot(narrow.half_width, 2.484), rel=1e-3)


def test_a_win_rate_over_three_seeds_bears_their_spread() -> None:
    steady = planted({"dpo-weak": [0.5] * 3, "ppo": [0.8] * 3}).head_to_head("ppo", "dpo-weak")
    shaky = planted({"dpo-weak": [0.5] * 3, "ppo": [0.2, 0.8, 1.4]}).head_to_head("ppo", "dpo-weak")

    def width(contest: dict[str, Any]) -> float:
        return float(contest["win_rate"]["high"] - contest["win_rate"]["low"])

    assert width(shaky) > 3 * width(steady)
    assert 0 <= shaky["win_rate"]["low"] <= shaky["win_rate"]["high"] <= 1
    assert shaky["minimum_detectable_effect"] > 3 * steady["minimum_detectable_effect"]


def test_a_win_by_length_alone_is_none_at_equal_length() -> None:
    """The judge pays 0.2 a token, whoever wrote it; one arm writes longer."""
    drawn = np.random.default_rng(5)
    numbers = dict(comparison(ppo_gain=1.0).measured)
    for name, length in (("ppo", 12.0), ("dpo-strong", 10.0)):
        lengths = drawn.normal(length, 2.0, size=(NUM_PROMPTS, 2)).round()
        gold = 0.2 * lengths + drawn.normal(0.0, 0.3, size=lengths.shape)
        numbers[name] = {0: replace(numbers[name][0], gold=gold, length=lengths)}
    found = Comparison(arms(), PROMPTS, numbers).head_to_head("ppo", "dpo-strong")
    assert found["win_rate"]["low"] > 0.5
    assert found["length_controlled"]["low"] < 0.5 < found["length_controlled"]["high"]


def test_arms_stand_on_one_scale_and_p_values_know_of_each_other() -> None:
    results = results_of(comparison(ppo_gain=0.6), title="three arms")
    scale = {name: one["value"] for name, one in results["strengths"].items()}
    assert scale["dpo-strong"] > scale["ppo"] > scale["dpo-weak"] > 0
    rows = results["head_to_head"]
    assert all(row["p_adjusted"] >= row["p_value"] for row in rows)
    assert min(row["p_adjusted"] for row in rows) == pytest.approx(
        min(1.0, len(rows) * min(row["p_value"] for row in rows))
    )


def test_an_arm_that_never_loses_has_no_finite_strength(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", logger="palate"):
        assert comparison(ppo_gain=50.0).strengths() is None
    assert "never beat ppo" in caplog.text


def test_best_of_n_takes_each_prompts_best(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = Renderer(tiny_tokenizer)
    words = ["a", "bb", "ccc"]
    samples = [Sample(renderer.response_tokens("hi", word), (0.0,), stopped=True) for word in words]
    texts = [renderer.response_text("hi", one.tokens) for one in samples]
    longest = max(range(3), key=lambda i: len(texts[i]))
    best = best_of_n(
        [samples], [Prompt("hi")], renderer, gold=lambda _, answers: [len(a) for a in answers]
    )
    assert best.texts == [[texts[longest]]]
    assert best.gold is not None
    assert best.gold[0, 0] == len(texts[longest])
    assert best.kl[0, 0] == pytest.approx(np.log(3) - 2 / 3)
    assert best.proxy is None


def test_win_rate_is_of_responses_not_of_means() -> None:
    """Samples 3 and 0 against 1 and 1 win half of the time, though their mean is higher."""
    found = comparison(ppo_gain=1.0)
    for name, row in (("ppo", [3.0, 0.0]), ("dpo-weak", [1.0, 1.0])):
        gold = found.measured[name][0].gold
        assert gold is not None
        gold[:] = row
    assert found.head_to_head("ppo", "dpo-weak")["win_rate"]["value"] == pytest.approx(0.5)


def test_groups_of_arms_are_compared_at_one_kl() -> None:
    """Straight in √KL: half-way to 4 nats a group that gains 2 there has gained 1 at 1 nat."""
    found = comparison(ppo_gain=2.0)
    against_sft = found.at_kl(1.0, ["ppo"])
    assert against_sft is not None
    assert against_sft.kl == 1.0
    assert against_sft.difference.low < 1.0 < against_sft.difference.high
    assert against_sft.difference.value == pytest.approx(1.0, abs=0.1)
    alike = found.at_kl(1.0, ["dpo-strong"], ["dpo-strong"])
    assert alike is not None
    assert alike.difference.low == alike.difference.value == alike.difference.high == 0.0


def test_a_group_is_compared_no_farther_than_it_went() -> None:
    near = comparison(ppo_gain=2.0).at_kl(9.0, ["dpo-weak"], ["ppo"])
    assert near is not None
    assert near.kl == pytest.approx(1.0)
    assert comparison(ppo_gain=2.0).at_kl(9.0, ["sft"], ["ppo"]) is None
