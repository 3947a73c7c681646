"""The loops of the online methods: what they learn from, what they log, and that they resume."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import tiny
from tests.training.runs import END, REWARD, At, Stop, kill, rows_of

from palate.data.trees import Response, Tree, plant
from palate.errors import DataError, GateError
from palate.models.moving import add_moving_reference, frozen_twin
from palate.models.protocols import FunctionReward
from palate.models.roles import Roles
from palate.training.folder import RunFolder
from palate.training.journal import METRICS
from palate.training.online import LOOPS, train_online
from palate.training.online_pairs import make_pairs
from palate.training.online_rollout import Batch, Task, draw, evaluate_online
from palate.training.online_settings import OnlineSettings
from palate.training.reinforce import reward_to_go_advantages
from palate.training.run import Result, Run

METHODS = tuple(LOOPS)
PROMPTS = rows_of("ppo", 6)
HELD_OUT = rows_of("ppo", 3, seed=1)


def settings_of(method: str, **changes: Any) -> OnlineSettings:
    own: dict[str, Any] = {
        "method": method, "per_device_train_batch_size": 4, "max_steps": 4, "learning_rate": 1e-2,
        "logging_steps": 2, "eval_steps": 2, "lr_scheduler_type": "cosine", "max_new_tokens": 6,
        "num_samples_per_prompt": 3, "kl_coef": 0.1,
    }  # fmt: skip
    return OnlineSettings(**{**own, **changes})


def start(settings: OnlineSettings, *, seed: int = 0) -> Roles:
    model = tiny.llama()
    if not settings.moves_reference:
        return tiny.roles_of(model, "policy", "reference", seed=seed)
    roles = Roles(model, tiny.tokenizer())
    twin = frozen_twin(roles)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        roles.add_policy(tiny.lora())
    add_moving_reference(roles, twin)
    return roles


def train(settings: OnlineSettings, roles: Roles | None = None, **kwargs: Any) -> Result:
    roles = roles or start(settings)
    return train_online(
        roles, PROMPTS, settings, end_tokens=END, eval_prompts=HELD_OUT,
        **{"reward": REWARD, **kwargs},
    )  # fmt: skip


def batch_of(trees: list[Tree], scores: Sequence[float], **numbers: Any) -> Batch:
    whole = plant(trees)
    zeros = torch.zeros(len(whole.targets))
    given = torch.tensor(scores)
    return Batch(
        trees, whole, numbers.get("logprobs", zeros), numbers.get("reference", zeros), given, given
    )


# -- what is learned from ------------------------------------------------------------------------

TREES = [
    Tree((5,), (Response((7, 2)), Response((2,)), Response((9, 2))), origin="row 1"),
    Tree((8,), (Response((3, 2)), Response((4, 2)), Response((6, 2)))),
    Tree((9,), (Response((3, 2)), Response((4, 2)), Response((6, 2)))),
]


def test_pairs_are_the_best_and_the_worst_and_nothing_where_all_are_equal() -> None:
    batch = batch_of(TREES, [1.0, 3.0, 2.0, 5.0, 5.0, 5.0, 0.0, -1.0, -1.0])
    first, none, last = make_pairs(batch, label_temperature=0.0, seed=0)
    assert first is not None
    assert none is None
    assert last is not None
    assert first.responses == (Response((2,)), Response((7, 2)))
    assert first.origin == "row 1"
    assert last.responses == (Response((3, 2)), Response((4, 2)))


def test_drawn_labels_are_bradley_terry_and_a_function_of_the_seed() -> None:
    trees = [Tree((5,), (Response((7, 2)), Response((2,))))] * 4000
    batch = batch_of(trees, [1.0, 0.0] * 4000)
    pairs = make_pairs(batch, label_temperature=2.0, seed=3)
    again = make_pairs(batch, label_temperature=2.0, seed=3)
    assert pairs == again
    right = np.mean([pair is not None and pair.responses[0].tokens == (7, 2) for pair in pairs])
    # σ(1/2) = 0.622, four standard errors of 4000 draws
    assert right == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.031)


def test_rewards_to_go_by_hand() -> None:
    trees = [Tree((5,), (Response((7, 2)), Response((2,))))]
    logprobs, reference = torch.tensor([-1.0, -2.0, -1.0]), torch.tensor([-2.0, -2.0, -3.0])
    batch = batch_of(trees, [1.0, 0.0], logprobs=logprobs, reference=reference)
    # −0.5·(log π − log ref): −0.5, 0 and −1; the score on the last token.
    to_go = np.array([-0.5 + 1.0, 1.0, -1.0])
    expected = (to_go - to_go.mean()) / to_go.std()
    found = reward_to_go_advantages(batch, kl_coef=0.5)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_a_batch_is_scored_at_the_temperature_that_was_sampled_with() -> None:
    settings = settings_of("rloo", temperature=0.7, missing_eos_penalty=2.0)
    roles = start(settings)
    task = Task(roles, PROMPTS, settings, REWARD, END)
    batch = draw(task, PROMPTS[:3], seed=5)
    # Sampling's own log-probabilities come from another path: one token at a time.
    from palate.models.sampling import sample

    drawn = sample(
        roles, "policy", [p.prompt for p in PROMPTS[:3]], num_samples=3, max_new_tokens=6,
        end_tokens=END, temperature=0.7, seed=5,
    )  # fmt: skip
    flat = [logprob for some in drawn for one in some for logprob in one.logprobs]
    torch.testing.assert_close(batch.logprobs, torch.tensor(flat), atol=1e-4, rtol=1e-4)
    assert torch.equal(batch.logprobs, batch.reference_logprobs)
    cut = ~batch.whole.stopped
    torch.testing.assert_close(batch.penalized, batch.scores - 2.0 * cut.float())
    assert batch.grid(batch.scores).shape == (3, 3)


def test_best_of_n_of_the_start_samples_the_start() -> None:
    settings = settings_of("best-of-n")
    roles = start(settings)
    tiny.nudge(roles, "policy", by=0.5)
    task = Task(roles, PROMPTS, settings, REWARD, END)
    from_start = draw(task, PROMPTS, seed=1, role="reference")
    from_policy = draw(task, PROMPTS, seed=1)
    fresh = draw(Task(start(settings), PROMPTS, settings, REWARD, END), PROMPTS, seed=1)
    assert [t.responses for t in from_start.trees] == [t.responses for t in fresh.trees]
    assert [t.responses for t in from_policy.trees] != [t.responses for t in fresh.trees]


# -- every method --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_reward_rises(method: str) -> None:
    settings = settings_of(
        method, per_device_train_batch_size=6, num_samples_per_prompt=6, max_steps=16,
        learning_rate=3e-2, kl_coef=0.02, missing_eos_penalty=0.0, warmup_steps=0, eval_steps=0,
        sample_from="policy",
    )  # fmt: skip
    roles = start(settings)
    task = Task(roles, PROMPTS, settings, REWARD, END)
    before = evaluate_online(task, PROMPTS * 6)["eval_objective/scores"]
    train(settings, roles)
    after = evaluate_online(task, PROMPTS * 6)["eval_objective/scores"]
    # A standard error of the mean of 216 responses is about 0.15.
    assert after > before + 0.6


@pytest.mark.parametrize("method", METHODS)
def test_metrics_are_known_and_the_methods_own_are_there(method: str) -> None:
    result = train(settings_of(method))
    trained = {name for row in result.history for name in row if not name.startswith("eval_")}
    assert {n.removeprefix("eval_") for n in trained} - {"step"} <= METRICS.keys()
    own = {
        "rloo": {"clip_ratio/low_mean", "clip_ratio/high_mean", "objective/kl", "val/ratio"},
        "grpo": {"clip_ratio/region_mean", "frac_reward_zero_std", "reward_std"},
        "reinforce++": {"policy/approxkl_avg", "objective/rlhf_reward"},
        "online-dpo": {"rewards/margins", "pairs_rate", "objective/kl"},
        "best-of-n": {"best_of_n/kl", "best_of_n/kl_bound", "best_of_n/scores"},
        "iterated-dpo": {"round", "rewards/accuracies", "pairs_rate"},
    }[method]
    assert own <= trained
    # Of the start's responses the policy's KL cannot be told.
    assert ("objective/kl" in trained) == (method != "best-of-n")
    assert {"eval_objective/scores", "eval_objective/kl"} <= result.metrics.keys()


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("rloo", {"num_iterations": 2, "num_mini_batches": 2}),
        ("grpo", {"num_iterations": 2}),
        ("reinforce++", {}),
        ("online-dpo", {"label_temperature": 1.0}),
        ("best-of-n", {}),
        ("best-of-n", {"sample_from": "policy"}),
        ("iterated-dpo", {"num_rounds": 2, "label_temperature": 1.0}),
        ("iterated-dpo", {"num_rounds": 2, "round_reference": "last-round"}),
    ],
)
def test_a_killed_run_resumes_bit_for_bit(
    method: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Killed after step 4, of which step 3 was saved: the middle of the second round of two."""
    settings = settings_of(
        method, max_steps=4, save_steps=3, logging_steps=1, eval_steps=0, **changes
    )

    def run(folder: RunFolder, *, resume: bool = False, **kwargs: Any) -> Roles:
        roles = start(settings)
        with folder.open(resume=resume):
            train(settings, roles, run=Run(folder=folder, resume=resume, **kwargs))
        return roles

    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    first = run(straight)
    with pytest.raises(Stop):
        run(broken, listeners=[At(4, kill)])
    second = run(broken, resume=True)
    assert broken.metrics.read_bytes() == straight.metrics.read_bytes()
    one, two = first.state(("policy",)), second.state(("policy",))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_never_change_what_is_learned(method: str) -> None:
    weights = []
    for limit in (4096, 24):
        settings = settings_of(method, max_steps=2, max_tokens_per_microbatch=limit)
        roles = start(settings)
        train(settings, roles)
        weights.append(roles.state(("policy",)))
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("method", ["rloo", "grpo", "reinforce++"])
def test_before_an_update_the_ratio_is_one(method: str) -> None:
    result = train(settings_of(method, max_steps=1, temperature=0.7, eval_steps=0))
    assert result.metrics["val/ratio"] == pytest.approx(1.0, abs=1e-5)
    assert result.metrics["policy/approxkl_avg"] == pytest.approx(0.0, abs=1e-9)
    assert result.metrics["objective/kl"] == 0


@pytest.mark.parametrize("method", ["rloo", "grpo", "reinforce++"])
def test_dropout_is_off_where_the_policy_must_be_what_was_sampled_from(method: str) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference", dropout=0.5)
    tiny.nudge(roles, "policy")
    roles.equal_at_start = False
    result = train(settings_of(method, max_steps=1, eval_steps=0), roles)
    assert result.metrics["val/ratio"] == pytest.approx(1.0, abs=1e-5)


def test_a_prompt_without_room_for_a_response_is_refused() -> None:
    settings = settings_of("online-dpo", max_new_tokens=120, eval_steps=0)
    with pytest.raises(DataError, match="128"):
        train_online(start(settings), [Tree((5,) * 20)], settings, reward=REWARD, end_tokens=END)


def test_a_rollout_that_nothing_ended_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_of("rloo", max_new_tokens=2, eval_steps=0)
    with caplog.at_level(logging.WARNING):
        train_online(start(settings), PROMPTS, settings, reward=REWARD, end_tokens=())
    assert caplog.text.count("none of the 12 responses of a rollout ended by itself") == 1


def test_a_policy_that_is_not_its_reference_is_refused() -> None:
    settings = settings_of("online-dpo", eval_steps=0)
    roles = start(settings)
    tiny.nudge(roles, "policy")
    with pytest.raises(GateError):
        train(settings, roles)


SAME = FunctionReward(lambda _p, responses: [0.0] * len(responses), str)


def test_equal_rewards_give_no_pair_and_no_update() -> None:
    settings = settings_of("online-dpo", missing_eos_penalty=0.0, eval_steps=0)
    roles = start(settings)
    before = {name: tensor.clone() for name, tensor in roles.state(("policy",)).items()}
    result = train(settings, roles, reward=SAME)
    assert result.metrics["pairs_rate"] == 0
    assert result.metrics["frac_reward_zero_std"] == 1
    after = roles.state(("policy",))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_equal_rewards_of_a_policy_gradient_are_told() -> None:
    settings = settings_of("rloo", missing_eos_penalty=0.0, kl_coef=0.0, eval_steps=0)
    with pytest.raises(GateError, match="every response may have the same reward"):
        train(settings, reward=SAME)


def test_a_setting_without_effect_is_told(caplog: pytest.LogCaptureFixture) -> None:
    settings = replace(settings_of("rloo", max_steps=1, eval_steps=0), scale_rewards="none")
    with caplog.at_level(logging.WARNING):
        train(settings)
    assert "scale_rewards has no effect with method rloo" in caplog.text


def test_a_gold_reward_is_watched_in_evaluations() -> None:
    result = train(settings_of("rloo", max_steps=2), gold=SAME)
    assert result.metrics["eval_objective/gold"] == 0


def test_the_last_rounds_policy_becomes_the_reference() -> None:
    settings = settings_of("iterated-dpo", num_rounds=2, round_reference="last-round", eval_steps=0)
    roles = start(settings)
    result = train(settings, roles)
    rounds = [row["objective/kl"] for row in result.history if "objective/kl" in row]
    # Each round's samples come from what its reference is: the KL is 0 but for rounding.
    assert rounds == pytest.approx([0.0, 0.0], abs=1e-5)
    weights = roles["reference"].fingerprint
    assert weights != start(settings)["reference"].fingerprint
