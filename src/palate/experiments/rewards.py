"""Reward sources → the reward that a loop is given.

A reward model on the policy's own base is one more adapter there and reads the policy's forest. One
with weights of its own, or on another base, is loaded beside the policy: where its tokenizer is
the policy's it reads the same forest, else responses are encoded anew from their text. Functions
and judges read text.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from palate.data.render import Renderer
from palate.experiments.foreign_reward import ForeignReward
from palate.experiments.passport import RewardBill, read_passport
from palate.experiments.prepare import frozen_reward, load_reward, load_reward_model, shares_base
from palate.experiments.reward_gate import GateRule, pass_gate
from palate.experiments.reward_source import RewardSource
from palate.experiments.table import size
from palate.models.protocols import FunctionReward, ModelReward, Reward, WeightedReward
from palate.models.roles import Roles
from palate.models.vocabulary import first_difference

log = logging.getLogger("palate")


@dataclass(frozen=True)
class TakenReward:
    """A reward that is ready, and what its reward models cost to train.

    Attributes:
        reward: for a loop.
        bill: of the reward models among its sources; None where there is none.
    """

    reward: Reward
    bill: RewardBill | None


def take_reward(
    sources: Sequence[RewardSource],
    roles: Roles,
    *,
    max_length: int,
    max_new_tokens: int,
    uncertainty_coef: float = 0.0,
) -> TakenReward:
    """The weighted sum of sources, to optimize a policy against; reward models pass their gates.

    Args:
        sources: at least one.
        roles: with the policy and its reference; a reward model on their base joins them.
        max_length: tokens of prompt + response, for a gate that is still to be measured.
        max_new_tokens: of samples, for the same.
        uncertainty_coef: spreads of a reward model's heads that are taken off its reward.

    Raises:
        ModelError: a folder is no reward model.
        GateError: a reward model is not fit to be optimized against.
    """
    parts: list[tuple[float, Reward]] = []
    bills: list[RewardBill] = []
    num_heads = 1
    for source in sources:
        if source.folder is None:
            reward = _of_function(source, roles)
        else:
            found = _of_folder(
                source.folder, roles, joins="reward" not in roles, uncertainty=uncertainty_coef
            )
            num_heads = max(num_heads, found.num_heads)
            pass_gate(
                source.gate or GateRule(), source.folder, found.roles, max_length=max_length,
                max_new_tokens=max_new_tokens,
            )  # fmt: skip
            bills.append(reward_bill(source.folder))
            reward = found.reward
        parts.append((source.weight, reward))
    if uncertainty_coef and num_heads == 1:
        log.warning(
            "uncertainty_coef has no effect: only a reward model of several heads (palate reward "
            "--num-heads) says how unsure it is"
        )
    return TakenReward(_sum(parts), _total(bills))


def watch_reward(sources: Sequence[RewardSource], roles: Roles) -> Reward:
    """The weighted sum of sources, to watch beside the reward that is optimized: no gate.

    Reward models are loaded beside the policy, so that the run's own reward model keeps its place.
    """
    return _sum(
        [
            (source.weight, _of_function(source, roles))
            if source.folder is None
            else (source.weight, _of_folder(source.folder, roles, joins=False).reward)
            for source in sources
        ]
    )


def reward_bill(folder: Path) -> RewardBill:
    """What a reward model cost, as far as its folder says."""
    passport = read_passport(folder)
    return RewardBill(str(folder.resolve()), passport.cost if passport else None)


@dataclass(frozen=True)
class _FolderReward:
    """A reward model's reward, and the roles whose `reward` it is."""

    reward: Reward
    roles: Roles

    @property
    def num_heads(self) -> int:
        """Heads of the reward model, whose spread is its uncertainty."""
        head = self.roles["reward"].head
        assert head is not None
        return head.out_features


def _of_function(source: RewardSource, roles: Roles) -> Reward:
    assert source.function is not None
    renderer = Renderer(roles.tokenizer)
    return FunctionReward(
        source.function, renderer.decode, respond=renderer.response_text, name=source.name
    )


def _of_folder(
    folder: Path, roles: Roles, *, joins: bool, uncertainty: float = 0.0
) -> _FolderReward:
    """The reward model of a folder; it `joins` the policy's roles where it can."""
    if joins and shares_base(roles, folder):
        load_reward(roles, folder)
        return _FolderReward(ModelReward(roles, uncertainty_coef=uncertainty), roles)
    own = frozen_reward(load_reward_model(folder), folder)
    own.meter = roles.meter
    weights = size(own.weights_resident_bytes())
    if not _write_alike(own.tokenizer, roles.tokenizer):
        log.info(
            "%s: a reward model of another tokenizer; %s of weights stand beside the policy's, "
            "and responses are encoded anew", folder, weights,
        )  # fmt: skip
        foreign = ForeignReward(
            own, Renderer(roles.tokenizer), folder, uncertainty_coef=uncertainty
        )
        return _FolderReward(foreign, own)
    log.info("%s: %s of weights stand beside the policy's", folder, weights)
    if not joins:
        return _FolderReward(ModelReward(own, uncertainty_coef=uncertainty), own)
    roles.add_frozen_reward(own)
    return _FolderReward(ModelReward(roles, uncertainty_coef=uncertainty), roles)


def _write_alike(ours: PreTrainedTokenizerBase, theirs: PreTrainedTokenizerBase) -> bool:
    same_tokens = first_difference(ours, theirs) is None
    return bool(same_tokens and ours.chat_template == theirs.chat_template)


def _sum(parts: Sequence[tuple[float, Reward]]) -> Reward:
    (weight, first), *others = parts
    return first if not others and weight == 1 else WeightedReward(parts)


def _total(bills: Sequence[RewardBill]) -> RewardBill | None:
    """One bill; of several reward models the sum, unknown as soon as one is."""
    if not bills:
        return None
    first, *others = bills
    cost = first.cost
    for bill in others:
        cost = cost.plus(bill.cost) if cost is not None and bill.cost is not None else None
    return RewardBill(" + ".join(bill.folder for bill in bills), cost)
