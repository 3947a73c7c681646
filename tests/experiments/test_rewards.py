"""Reward sources as a loop's reward: on the policy's base, beside it, of another tokenizer."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests import tiny
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from palate.data.grow import prompt_trees
from palate.data.records import Prompt
from palate.data.render import Renderer
from palate.data.trees import Response, Tree, plant
from palate.errors import DataError
from palate.experiments.passport import Passport, write_passport
from palate.experiments.reward_gate import GateRule
from palate.experiments.reward_source import RewardSource
from palate.experiments.rewards import take_reward, watch_reward
from palate.models.attention import plan_forest
from palate.models.load import weights_hash
from palate.models.protocols import Reward
from palate.models.roles import Roles
from palate.models.scoring import rewards

PROMPTS = [Prompt("w3 w4", origin="p:1", columns={"best": "w9"}), Prompt("w7", origin="p:2")]
# Two responses to each prompt; the last one was cut.
REPLIES: list[list[tuple[tuple[int, ...], bool]]] = [
    [((9, 2), True), ((10, 11, 2), True)],
    [((12, 2), True), ((13, 14), False)],
]


def turned_tokenizer() -> PreTrainedTokenizerFast:
    """The same words under other ids, and another end token."""
    words = [*(f"w{i}" for i in reversed(range(3, tiny.VOCAB))), "<end>", "<pad>", "<s>"]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="<end>"
    )


def saved_reward(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, whole: bool = False
) -> Path:
    base = folder.with_name(f"{folder.name}-base")
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    model.name_or_path = str(base)
    roles = Roles(model, tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        roles.add_reward(None if whole else tiny.lora())
    tiny.nudge(roles, "reward")
    roles.save("reward", folder)
    return folder


def policy() -> Roles:
    return tiny.roles_of(tiny.llama(), "policy", "reference")


def grown(roles: Roles) -> list[Tree]:
    trees, _ = prompt_trees(PROMPTS, Renderer(roles.tokenizer), max_length=64)
    return [
        Tree(tree.prompt, tuple(Response(*one) for one in some), source=tree.source)
        for tree, some in zip(trees, REPLIES, strict=True)
    ]


def asked(reward: Reward, roles: Roles) -> list[float]:
    trees = grown(roles)
    forest = plant(trees)
    found: list[float] = reward(trees, forest, plan_forest(forest)).tolist()
    return found


def taken(*sources: RewardSource, roles: Roles) -> list[float]:
    loose = [replace(one, gate=GateRule("off")) for one in sources]
    return asked(take_reward(loose, roles, max_length=64, max_new_tokens=4).reward, roles)


def test_a_reward_model_on_the_same_base_joins_the_policy(tmp_path: Path) -> None:
    folder = saved_reward(tmp_path / "reward", tiny.llama(), tiny.tokenizer())
    roles = policy()
    found = taken(RewardSource("r", folder=folder), roles=roles)
    assert roles["reward"].trunk is roles.trunk
    assert found == pytest.approx(rewards(roles, plant(grown(roles))).tolist())
    assert len(set(found)) == 4


@pytest.mark.parametrize("whole", [False, True], ids=["adapter", "whole model"])
def test_a_reward_model_of_another_base_is_loaded_beside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, whole: bool
) -> None:
    other = tiny.llama(seed=5)
    folder = saved_reward(tmp_path / "reward", other, tiny.tokenizer(), whole=whole)
    alone = Roles(tiny.llama(seed=5), tiny.tokenizer())
    alone.load_reward(folder)
    roles = policy()
    if not whole:  # which base an adapter is of stands in the passport that training writes
        own = weights_hash(tiny.llama(seed=5))
        write_passport(Passport("reward", "reward", "base", base_hash=own), folder)
    with caplog.at_level(logging.INFO, logger="palate"):
        found = taken(RewardSource("r", folder=folder), roles=roles)
    assert found == pytest.approx(rewards(alone, plant(grown(roles))).tolist(), abs=1e-6)
    assert "kB of weights stand beside the policy's" in caplog.text
    assert roles.models_resident() == 2


def test_a_reward_model_of_another_tokenizer_reads_the_same_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = turned_tokenizer()
    folder = saved_reward(tmp_path / "reward", tiny.llama(seed=5), tokenizer, whole=True)
    roles = policy()
    with caplog.at_level(logging.INFO, logger="palate"):
        found = taken(RewardSource("r", folder=folder), roles=roles)
    assert "responses are encoded anew" in caplog.text
    # By hand: the words in the other tokenizer's ids; the cut response has no end.
    alone = Roles(tiny.llama(seed=5), tokenizer)
    alone.load_reward(folder)
    end = tokenizer.eos_token_id
    assert isinstance(end, int)
    ids: Callable[[str], tuple[int, ...]] = lambda text: tuple(tokenizer(text).input_ids)  # noqa: E731
    trees = [
        Tree(ids("w3 w4"), (Response((*ids("w9"), end)), Response((*ids("w10 w11"), end)))),
        Tree(ids("w7"), (Response((*ids("w12"), end)), Response(ids("w13 w14"), False))),
    ]
    assert found == pytest.approx(rewards(alone, plant(trees)).tolist(), abs=1e-5)
    assert "reward" not in roles


def test_an_adapter_of_other_tokens_is_not_given_the_policys(tmp_path: Path) -> None:
    """It does not say which base it is of, and has as many tokens."""
    folder = saved_reward(tmp_path / "reward", tiny.llama(), turned_tokenizer())
    roles = policy()
    taken(RewardSource("r", folder=folder), roles=roles)
    assert "reward" not in roles


def test_a_response_beyond_the_reward_models_context_is_refused(tmp_path: Path) -> None:
    other = tiny.llama(seed=5)
    other.config.max_position_embeddings = 4
    folder = saved_reward(tmp_path / "reward", other, turned_tokenizer(), whole=True)
    with pytest.raises(DataError, match=r"p:1: prompt and response are 5 tokens .* context is 4"):
        taken(RewardSource("r", folder=folder), roles=policy())


def test_rewards_are_weighted_and_summed_and_functions_see_columns(tmp_path: Path) -> None:
    folder = saved_reward(tmp_path / "reward", tiny.llama(), tiny.tokenizer())

    def best(prompts: list[str], responses: list[str], best: list[str | None]) -> list[float]:
        assert prompts == ["w3 w4", "w3 w4", "w7", "w7"]
        return [float(r == b) for r, b in zip(responses, best, strict=True)]

    alone = taken(RewardSource("r", folder=folder), roles=policy())
    both = taken(
        RewardSource("r", 0.5, folder=folder), RewardSource("f", 10.0, function=best),
        roles=policy(),
    )  # fmt: skip
    expected = [0.5 * a + 10.0 * b for a, b in zip(alone, [1, 0, 0, 0], strict=True)]
    assert both == pytest.approx(expected, abs=1e-5)


def test_two_reward_models_on_one_base_both_count(tmp_path: Path) -> None:
    first = saved_reward(tmp_path / "first", tiny.llama(), tiny.tokenizer())
    second = saved_reward(tmp_path / "second", tiny.llama(seed=5), tiny.tokenizer(), whole=True)
    sources = [RewardSource("1", folder=first), RewardSource("2", folder=second)]
    both = taken(*sources, roles=policy())
    apart = [taken(source, roles=policy()) for source in sources]
    assert both == pytest.approx([a + b for a, b in zip(*apart, strict=True)], abs=1e-5)


def test_a_watched_reward_leaves_the_runs_own_in_its_place(tmp_path: Path) -> None:
    first = saved_reward(tmp_path / "first", tiny.llama(), tiny.tokenizer())
    second = saved_reward(tmp_path / "second", tiny.llama(seed=5), tiny.tokenizer(), whole=True)
    roles = policy()
    proxy = take_reward(
        [RewardSource("1", folder=first, gate=GateRule("off"))],
        roles,
        max_length=64,
        max_new_tokens=4,
    ).reward
    before = asked(proxy, roles)
    gold = watch_reward([RewardSource("2", folder=second)], roles)
    watched = asked(gold, roles)
    assert asked(proxy, roles) == before
    assert watched == pytest.approx(taken(RewardSource("2", folder=second), roles=policy()))
    assert watched != pytest.approx(before)
