"""Rewards, values, exact KL and the ledger, against slow versions."""

from collections.abc import Sequence

import pytest
import torch
from tests import tiny

from palate.data.trees import Tree, plant
from palate.errors import ModelError, NumericalError
from palate.models.attention import plan_forest
from palate.models.protocols import FunctionReward, ModelReward
from palate.models.reward_folder import RewardScale
from palate.models.roles import Roles
from palate.models.scoring import exact_kl, hidden_rows, rewards, values_from

TREES = tiny.trees(4)
FOREST = plant(TREES)


def test_rewards_are_read_on_the_last_token_and_values_before_each() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reward", "value")
    for name in ("reward", "value"):
        tiny.nudge(roles, name)
    with torch.no_grad():
        values = values_from(roles["value"], hidden_rows(roles, "value", FOREST), FOREST)
        found = rewards(roles, FOREST)
    slow_rewards: list[float] = []
    slow_values: list[float] = []
    for tree in TREES:
        for response in tree.responses:
            row = torch.tensor([[*tree.prompt, *response.tokens]])
            with torch.no_grad():
                for name, into in (("reward", slow_rewards), ("value", slow_values)):
                    head = roles[name].head
                    assert head is not None
                    with roles.enter(name):
                        rows = roles.model.base_model(input_ids=row).last_hidden_state[0]
                    numbers = head(rows)[:, 0].tolist()
                    into.extend(
                        numbers[-1:] if name == "reward" else numbers[len(tree.prompt) - 1 : -1]
                    )
    assert found.tolist() == pytest.approx(slow_rewards, abs=1e-5)
    assert values.tolist() == pytest.approx(slow_values, abs=1e-5)


def test_a_fresh_value_function_is_zero_everywhere() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "shared value")
    assert roles.shares_trunk("value", "policy")
    values = values_from(roles["value"], hidden_rows(roles, "policy", FOREST), FOREST)
    assert not values.any()


def test_exact_kl_sums_the_whole_vocabulary_along_the_response() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    assert exact_kl(roles, FOREST).tolist() == [0.0] * 8
    tiny.nudge(roles, "policy")
    found = exact_kl(roles, FOREST, temperature=0.7)
    slow = []
    for tree in TREES:
        for response in tree.responses:
            row = torch.tensor([[*tree.prompt, *response.tokens]])
            logs = []
            for name in ("policy", "reference"):
                with torch.no_grad(), roles.enter(name):
                    logits = roles.model(input_ids=row).logits[0, len(tree.prompt) - 1 : -1]
                logs.append((logits / 0.7).log_softmax(-1))
            slow.append(float((logs[0].exp() * (logs[0] - logs[1])).sum()))
    assert found.tolist() == pytest.approx(slow, abs=1e-4)
    assert float(found.min()) > 0


def test_the_ledger_counts_what_was_spent_where() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    rows, targets = len(FOREST.tokens), len(FOREST.targets)
    with torch.no_grad():
        hidden_rows(roles, "reference", FOREST)
    # Two layers of q and o 32×32, k and v 32×16, three of 32×48.
    blocks = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    vocabulary, attention = tiny.VOCAB * 32, 2 * 32
    matrices = 2 * blocks * rows + 2 * vocabulary * targets
    forward = matrices + 4 * attention * FOREST.num_attention_pairs
    assert roles.meter.flops["score"] == pytest.approx(forward)
    assert roles.meter.tokens == {"train": 0, "score": rows, "sample": 0}
    hidden_rows(roles, "policy", FOREST)
    assert roles.meter.flops["train"] == pytest.approx(2 * forward)
    roles.meter.reset()
    assert roles.meter.flops == {"train": 0, "score": 0, "sample": 0}


def test_a_model_reward_is_shifted_and_scaled_once() -> None:
    roles = tiny.roles_of(tiny.llama(), "reward")
    raw = rewards(roles, FOREST)
    roles["reward"].scale = RewardScale(mean=1.0, spread=4.0)
    found = ModelReward(roles)(TREES, FOREST, plan_forest(FOREST))
    torch.testing.assert_close(found, (raw - 1) / 4)


def test_a_function_reward_sees_texts_in_order() -> None:
    seen: list[tuple[str, str]] = []

    def lengths(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        seen.extend(zip(prompts, responses, strict=True))
        return [float(len(r.split())) for r in responses]

    decode = " ".join
    reward = FunctionReward(lengths, lambda ids: decode(map(str, ids)))
    found = reward(TREES, FOREST, plan_forest(FOREST))
    assert found.tolist() == FOREST.lengths.tolist()
    assert seen[0] == (
        decode(map(str, TREES[0].prompt)),
        decode(map(str, TREES[0].responses[0].tokens)),
    )


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [([1.0], ValueError, "gave 1 rewards for 8 responses"),
     ([1.0] * 7 + [float("nan")], NumericalError, "gave nan for the response")],
)  # fmt: skip
def test_a_function_reward_is_checked(
    values: list[float], kind: type[Exception], words: str
) -> None:
    reward = FunctionReward(lambda _p, _r: values, str)
    with pytest.raises(kind, match=words):
        reward(TREES, FOREST, plan_forest(FOREST))


def test_adapters_off_is_the_base_to_the_last_bit() -> None:
    model = tiny.llama()
    plain = Roles(tiny.llama(), tiny.tokenizer())
    plain.add_policy()
    roles = tiny.roles_of(model, "policy", "reference")
    tiny.nudge(roles, "policy")
    with torch.no_grad():
        assert torch.equal(
            hidden_rows(roles, "reference", FOREST), hidden_rows(plain, "policy", FOREST)
        )


def test_prompts_without_responses_give_no_logprobs() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    forest = plant([Tree(tree.prompt) for tree in TREES])
    with torch.no_grad():
        assert len(hidden_rows(roles, "policy", forest)) == len(forest.tokens)
    with pytest.raises(ModelError, match="no reward role"):
        rewards(roles, FOREST)
