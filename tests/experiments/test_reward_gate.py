"""The gate on pairs of the embedded world: which rewards pass it, and what PPO does with it."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import tiny
from torch import Tensor
from transformers import AutoTokenizer

from palate.data.records import Preference
from palate.data.render import Renderer
from palate.data.trees import Forest
from palate.errors import DataError, GateError, ModelError
from palate.experiments.pair_scores import Scorer, reward_scorer
from palate.experiments.reward_gate import (
    GateRule,
    answers_of,
    check_reward,
    pass_gate,
    read_gate,
    store_gate,
)
from palate.experiments.world import (
    DEFAULT_TEMPERATURE,
    base_model_path,
    draw_pairs,
    gold_reward,
    world_prompts,
)
from palate.experiments.world.gold import read_traits
from palate.experiments.world.grammar import read_prompt
from palate.experiments.world.replies import Flaw, compose
from palate.measures.gate import GateReport
from palate.models.reward_folder import RewardScale
from palate.models.roles import Roles

RENDERER = Renderer(AutoTokenizer.from_pretrained(str(base_model_path())))


def _world_pairs(count: int) -> list[Preference]:
    """Replies of the grammar, some of them flawed, labeled by the gold reward with its noise."""
    generator = np.random.default_rng(0)
    prompts = world_prompts(count, seed=1)
    flaws = list(Flaw)
    texts = [
        [
            compose(
                read_prompt(str(prompt.prompt)),
                frozenset(f for f in flaws if generator.random() < 0.2),
                generator,
            )
            for _ in range(2)
        ]
        for prompt in prompts
    ]
    return draw_pairs(prompts, texts, temperature=DEFAULT_TEMPERATURE, generator=generator)


PAIRS = _world_pairs(300)


def _function(reward: Callable[[str, str], float], *, spread: float = 1.0) -> Scorer:
    """A reward of texts, raw rewards being `spread` times as large."""

    def score(forest: Forest) -> Tensor:
        tokens, found = forest.tokens.tolist(), []
        for span in forest.spans:
            at = span.start + span.prompt
            prompt = RENDERER.decode(tokens[span.start : at])
            for length in span.responses:
                found.append(reward(prompt, RENDERER.decode(tokens[at : at + length])))
                at += length
        return torch.tensor(found)[:, None] / spread

    return Scorer(score, RENDERER, torch.device("cpu"), RewardScale(0.0, spread))


def _failed(report: GateReport) -> set[str]:
    return {check.name for check in report.failed}


def test_the_gold_reward_passes() -> None:
    gold = _function(lambda p, r: gold_reward(p, r) / DEFAULT_TEMPERATURE, spread=3.0)
    report = check_reward(gold, PAIRS)
    assert report.failed == ()
    # In nats it is the labeler's own, whatever the unit of the reward.
    assert report.temperature == pytest.approx(1.0, abs=0.3)
    assert report.accuracy.value > 0.75


def test_the_page_names_every_check_with_its_limit() -> None:
    page = Path("docs/reward-model.md").read_text(encoding="utf-8").replace("1e-6", "1e-06")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    gold = _function(lambda p, r: gold_reward(p, r) / DEFAULT_TEMPERATURE)
    for check in check_reward(gold, PAIRS[:40]).checks:
        (row,) = [row for row in rows if f"`{check.name}`" in row[1]]
        sign = "≥" if check.wanted == "at least" else "≤"
        limit = row[3].strip().replace("\N{MINUS SIGN}", "-")
        assert limit == f"{sign} {check.limit:g}"


def test_a_reward_that_counts_characters_is_found() -> None:
    found = _failed(check_reward(_function(lambda p, r: len(r) / 40), PAIRS))
    assert {"length", "repeat", "append-flattery", "wrong-prompt", "beats-length"} <= found


def test_a_reward_that_can_be_flattered_is_found_though_it_is_accurate() -> None:
    def flattered(prompt: str, response: str) -> float:
        traits = read_traits(prompt, response)
        return gold_reward(prompt, response) / DEFAULT_TEMPERATURE + 4 * traits.num_flatteries

    report = check_reward(_function(flattered), PAIRS)
    assert report.accuracy.low > 0.5
    assert _failed(report) >= {"append-flattery"}
    assert not _failed(report) & {"append-thanks", "length", "accuracy", "wrong-prompt"}


def test_a_reward_that_likes_responses_without_an_end_is_found() -> None:
    def score(forest: Forest) -> Tensor:
        gold = _function(lambda p, r: gold_reward(p, r) / DEFAULT_TEMPERATURE)
        return gold.score(forest) + 2.0 * (~forest.stopped[:, None])

    report = check_reward(Scorer(score, RENDERER, torch.device("cpu")), PAIRS)
    assert _failed(report) == {"drop-eos"}


def test_long_pairs_are_refused_or_dropped_and_long_probes_left_out() -> None:
    gold = _function(lambda p, r: gold_reward(p, r) / DEFAULT_TEMPERATURE)
    with pytest.raises(DataError, match="longer than max_length 60"):
        check_reward(gold, PAIRS, max_length=60)
    report = check_reward(gold, PAIRS, max_length=60, overlong="drop")
    assert 5 <= report.num_pairs < len(PAIRS)
    repeat = next(probe for probe in report.probes if probe.name == "repeat")
    assert repeat.change is None or repeat.change.n < report.num_pairs


# -- what PPO does with it -----------------------------------------------------------------------

ROWS = [
    Preference(f"w{3 + i} w{4 + i}", f"w{5 + i} w{6 + i}", f"w{9 + i}", origin=f"rows:{i}")
    for i in range(12)
]


@pytest.fixture
def reward(tmp_path: Path) -> Path:
    """An untrained reward model, which no gate lets through."""
    tiny.llama().save_pretrained(tmp_path / "base")
    roles = tiny.roles_of(tiny.llama(), "reward")
    tiny.nudge(roles, "reward")
    roles.save("reward", tmp_path / "reward")
    return tmp_path / "reward"


def _with_reward(folder: Path) -> Roles:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    roles.load_reward(folder)
    return roles


def _pass(rule: GateRule, folder: Path) -> None:
    pass_gate(rule, folder, _with_reward(folder), max_length=64, max_new_tokens=4)


def test_an_unchecked_reward_model_is_checked_on_the_spot(reward: Path) -> None:
    asked = []

    def pairs() -> list[Preference]:
        asked.append(1)
        return ROWS

    with pytest.raises(GateError, match=r"not fit to be optimized against .*accuracy \(low end"):
        _pass(GateRule(pairs=pairs), reward)
    stored = json.loads((reward / "gate.json").read_text())
    assert stored["passed"] is False
    assert stored["num_pairs"] == 12
    assert stored["samples"]["num_samples"] == 12
    # Once is enough, also without pairs.
    for again in (GateRule(pairs=pairs), GateRule()):
        with pytest.raises(GateError, match="--reward-gate warn"):
            _pass(again, reward)
    assert asked == [1]


def test_warn_says_it_and_goes_on_and_off_does_not_look(
    reward: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="palate"):
        _pass(GateRule("off", lambda: ROWS), reward)
        assert caplog.messages == []
        assert not (reward / "gate.json").exists()
        _pass(GateRule("warn", lambda: ROWS), reward)
    (line,) = caplog.messages
    assert "is not fit to be optimized against" in line


def test_without_pairs_nobody_knows_and_silence_does_not_pass(
    reward: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="palate"):
        with pytest.raises(GateError, match="never checked.*--reward-gate off") as caught:
            _pass(GateRule(), reward)
        assert caught.value.exit_code == 4
        assert caplog.messages == []
        _pass(GateRule("warn"), reward)
    (line,) = caplog.messages
    assert "was never checked" in line
    assert "palate check-reward" in line


def test_a_report_is_believed_of_its_own_weights_only(reward: Path) -> None:
    roles = _with_reward(reward)
    scorer = reward_scorer_of(reward)
    answer = answers_of(roles, "reference", end_tokens=(tiny.EOS,), max_new_tokens=4)
    store_gate(check_reward(scorer, ROWS, answer=answer), reward, ROWS)
    stored = read_gate(reward)
    assert stored is not None
    assert not stored.passed
    scale = reward / "reward_scale.json"
    scale.write_text('{"mean": 1.0, "spread": 2.0}')
    assert read_gate(reward) is None
    (reward / "gate.json").write_text("{")
    with pytest.raises(ModelError, match=r"gate\.json: damaged"):
        read_gate(reward)


def reward_scorer_of(folder: Path) -> Scorer:
    """The scorer of a folder whose base stands beside it."""
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(folder.parent / "base")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return reward_scorer(folder)
