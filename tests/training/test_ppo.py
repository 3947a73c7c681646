"""PPO: rollouts by hand, identities of the first update, metrics, sizes."""

import logging

import pytest
import torch
from tests import tiny
from tests.training.runs import END, REWARD, rows_of, settings_of, start, train

from palate.data.trees import Response, Tree
from palate.errors import GateError
from palate.models.roles import Roles
from palate.objectives.returns import response_gae
from palate.training.journal import METRICS
from palate.training.ppo import train_ppo
from palate.training.rollout import Rollout
from palate.training.settings import PPOSettings

PROMPTS = rows_of("ppo", 6)
# Two prompts; three responses of 2, 1 and 3 tokens, the last one cut.
TREES = [
    Tree((5, 6), (Response((7, 2)), Response((2,)))),
    Tree((8,), (Response((9, 9, 9), stopped=False),)),
]
LOGPROBS = torch.tensor([-1.0, -2.0, -0.5, -1.0, -1.5, -2.0])
REFERENCE = torch.tensor([-1.5, -2.0, -1.0, -1.0, -1.0, -1.0])
VALUES = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
SCORES = torch.tensor([1.0, -1.0, 2.0])


def _rollout(**changes: object) -> Rollout:
    settings = PPOSettings(**{"whiten_advantages": False, "kl_coef": 0.1, **changes})  # type: ignore[arg-type]
    return Rollout(
        TREES, logprobs=LOGPROBS, reference_logprobs=REFERENCE, values=VALUES, scores=SCORES,
        settings=settings,
    )  # fmt: skip


def test_a_rollout_by_hand() -> None:
    rollout = _rollout(gamma=1.0, lam=1.0, missing_eos_penalty=0.5)
    (part,) = rollout.parts([0, 1], max_tokens=100)
    # With λ = γ = 1 a return is the sum of what is still to come:
    # −0.1·(log π − log ref) a token and the score on the last; the cut one has 0.5 less.
    expected = [1.0 - 0.05, 1.0, -1.0 - 0.05, 1.5 + 0.15, 1.5 + 0.15, 1.5 + 0.1]
    torch.testing.assert_close(part.returns, torch.tensor(expected))
    torch.testing.assert_close(part.advantages, torch.tensor(expected) - VALUES)
    assert torch.equal(part.old_logprobs, LOGPROBS)
    assert torch.equal(part.old_values, VALUES)

    metrics = rollout.metrics
    k1 = [0.5 + 0.0, 0.5, 0.0 - 0.5 - 1.0]
    assert metrics["objective/kl"] == pytest.approx(sum(k1) / 3)
    assert metrics["objective/kl_k3"] > 0
    assert metrics["objective/entropy"] == pytest.approx((3.0 + 0.5 + 4.5) / 3)
    assert metrics["objective/scores"] == pytest.approx((1.0 - 1.0 + 1.5) / 3)
    assert metrics["objective/non_score_reward"] == pytest.approx(-0.1 * sum(k1) / 3)
    assert metrics["objective/rlhf_reward"] == pytest.approx((1.5 - 0.1 * sum(k1)) / 3)
    assert metrics["length"] == 2.0
    assert metrics["eos_rate"] == pytest.approx(2 / 3)
    assert metrics["val/num_eos_tokens"] == 2


def test_lambda_and_gamma_reach_the_advantages() -> None:
    (part,) = _rollout(gamma=0.9, lam=0.5).parts([0, 1], max_tokens=100)
    # The third response: −0.1·(log π − log ref), the score 2 less 1 for the missing EOS.
    shaped = torch.tensor([[0.0, 0.05, 2.0 - 1.0 + 0.1]])
    slow = response_gae(
        rewards=shaped, values=VALUES[3:][None], response_mask=torch.ones(1, 3, dtype=torch.bool),
        gamma=0.9, lam=0.5,
    )  # fmt: skip
    torch.testing.assert_close(part.advantages[3:], slow.advantages[0])


def test_whitening() -> None:
    (part,) = _rollout(whiten_advantages=True).parts([0, 1], max_tokens=100)
    assert float(part.advantages.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(part.advantages.std(correction=0)) == pytest.approx(1.0, abs=1e-3)


def test_whitened_rewards_are_learned_from_and_raw_scores_are_told() -> None:
    plain = _rollout(gamma=1.0, lam=1.0, kl_coef=0.0, missing_eos_penalty=0.5)
    white = _rollout(gamma=1.0, lam=1.0, kl_coef=0.0, missing_eos_penalty=0.5, whiten_rewards=True)
    # Scores 1, −1, 2 have the spread √(14/9); the penalty is no part of it.
    spread = (14 / 9) ** 0.5
    (part,) = white.parts([0, 1], max_tokens=100)
    expected = [1 / spread] * 2 + [-1 / spread] + [2 / spread - 0.5] * 3
    torch.testing.assert_close(part.returns, torch.tensor(expected))
    assert white.metrics == plain.metrics
    assert white.metrics["objective/scores"] == pytest.approx((1.0 - 1.0 + 1.5) / 3)
    assert torch.equal(white.scores, SCORES)


def test_parts_deal_any_trees_in_any_order_and_are_kept() -> None:
    rollout = _rollout()
    second, first = rollout.parts([1, 0], max_tokens=1)
    assert second.forest.tokens.tolist() == [8, 9, 9, 9]
    assert second.old_values.tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert first.old_values.tolist() == pytest.approx([0.1, 0.2, 0.3])
    (again,) = rollout.parts([1], max_tokens=1)
    assert again.forest is second.forest
    assert again.advantages is second.advantages


def test_old_logprobs_values_and_scores_are_those_of_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the first update the ratio is 1, the approximate KL 0, nothing is clipped."""
    roles = start("ppo")
    tiny.nudge(roles, "value", by=0.3)
    settings = settings_of(
        "ppo", max_steps=1, num_ppo_epochs=1, num_mini_batches=1, temperature=0.7
    )
    result = train("ppo", roles, settings, evaluate=False)
    assert result.metrics["val/ratio"] == pytest.approx(1.0, abs=1e-5)
    assert result.metrics["policy/approxkl_avg"] == pytest.approx(0.0, abs=1e-9)
    assert result.metrics["policy/clipfrac_avg"] == 0
    assert result.metrics["val/clipfrac_avg"] == 0
    assert result.metrics["objective/kl"] == 0


def test_dropout_touches_neither_rollout_nor_update(caplog: pytest.LogCaptureFixture) -> None:
    """A loaded adapter that drops out half of its input learns as one that drops nothing."""
    weights = []
    for dropout in (0.5, 0.0):
        roles = start("ppo", dropout=dropout)
        tiny.nudge(roles, "policy")
        roles.equal_at_start = False
        result = train("ppo", roles, settings_of("ppo", max_steps=2), evaluate=False)
        assert result.history[0]["val/ratio"] == pytest.approx(1.0, abs=0.2)
        weights.append(roles.state(("policy", "value")))
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    with caplog.at_level(logging.WARNING):
        train("ppo", start("ppo"), settings_of("ppo", max_steps=1, lora_dropout=0.1))
    assert "lora_dropout 0.1 has no effect" in caplog.text


def test_metrics_are_complete_and_all_known() -> None:
    result = train("ppo", start("ppo"), settings_of("ppo"))
    own = {
        "objective/kl", "objective/kl_k3", "objective/entropy", "objective/scores",
        "objective/non_score_reward", "objective/rlhf_reward", "length", "eos_rate",
        "val/num_eos_tokens", "policy/approxkl_avg", "policy/clipfrac_avg", "loss/policy_avg",
        "loss/value_avg", "val/ratio", "val/clipfrac_avg", "loss", "grad_norm", "learning_rate",
        "num_tokens", "epoch", "objective/length_correlation", "repetition", "update/lost",
        "val/explained_variance", "start/reference_gap",
    }  # fmt: skip
    trained = {name for row in result.history for name in row if not name.startswith("eval_")}
    assert trained == own | {"step"}
    told = {n.removeprefix("eval_") for n in result.metrics if n.startswith("eval_")}
    assert told == {n for n in own if n.startswith("objective/")} | {
        "objective/scores_se", "length", "eos_rate", "val/num_eos_tokens", "repetition",
    }  # fmt: skip
    assert {n.removeprefix("eval_") for n in result.metrics} <= METRICS.keys()


@pytest.mark.parametrize("value", ["shared value", "value"])
def test_a_value_function_of_its_own_trains_too(value: str) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference", value)
    before = {k: v.clone() for k, v in roles.state(("policy", "value")).items()}
    train("ppo", roles, settings_of("ppo"))
    after = roles.state(("policy", "value"))
    moved = {k for k, v in after.items() if not torch.equal(v, before[k])}
    assert moved == after.keys()
    assert (len(roles.parameters("value")) == 1) == (value == "shared value")


def test_all_weights_can_be_trained() -> None:
    roles = Roles(tiny.gpt2(), tiny.tokenizer())
    for name in ("policy", "reference", "value"):
        tiny.add(roles, name, None)
    result = train("ppo", roles, settings_of("ppo", learning_rate=1e-3), evaluate=False)
    assert result.steps == 4
    assert result.history[0]["objective/kl_k3"] >= 0


def _updates(monkeypatch: pytest.MonkeyPatch, **changes: object) -> int:
    count = 0
    real = torch.optim.AdamW.step

    def counted(self: torch.optim.AdamW, *args: object) -> object:
        nonlocal count
        count += 1
        return real(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    train("ppo", start("ppo"), settings_of("ppo", max_steps=1, **changes), evaluate=False)
    monkeypatch.setattr(torch.optim.AdamW, "step", real)
    return count


def test_passes_and_minibatches_multiply_and_a_kl_limit_ends_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _updates(monkeypatch, num_ppo_epochs=3, num_mini_batches=2) == 6
    assert _updates(monkeypatch, num_ppo_epochs=3, num_mini_batches=1) == 3
    limited = _updates(
        monkeypatch, num_ppo_epochs=9, num_mini_batches=1, target_kl=1e-6, warmup_steps=0
    )
    assert limited == 2  # the first pass is at KL 0, the second is beyond


def test_the_policy_learns_what_is_rewarded() -> None:
    roles = start("ppo")
    settings = PPOSettings(
        per_device_train_batch_size=8, num_samples_per_prompt=4, max_steps=6, learning_rate=2e-2,
        max_new_tokens=6, logging_steps=1, kl_coef=0.01, missing_eos_penalty=0.0, warmup_steps=0,
    )  # fmt: skip
    result = train_ppo(roles, rows_of("ppo", 8), settings, reward=REWARD, end_tokens=END)
    scores = [row["objective/scores"] for row in result.history if "objective/scores" in row]
    assert sum(scores[-2:]) / 2 > scores[0] + 0.5


def test_equal_rewards_teach_nothing_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    """The value head still gets its gradient; a policy without one is refused."""
    from palate.models.protocols import FunctionReward

    same = FunctionReward(lambda _p, responses: [0.0] * len(responses), str)
    settings = PPOSettings(
        per_device_train_batch_size=4, max_steps=1, max_new_tokens=1, missing_eos_penalty=0.0,
        kl_coef=0.0,
    )  # fmt: skip
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(GateError, match="every response may have the same reward"),
    ):
        train_ppo(start("ppo"), PROMPTS, settings, reward=same, end_tokens=END)
