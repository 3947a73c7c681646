"""Diseases planted in small real runs, each by what causes it; and runs without any.

A case trains in a run folder, which `palate diagnose` then reads; so a finding has gone through the
loop, the log and the reading.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tests import tiny
from tests.tiny import EOS, VOCAB
from tests.training import plant_world as world

from palate.data.trees import Response, Tree
from palate.errors import GateError
from palate.experiments.diagnose import Diagnosed, diagnose_run
from palate.models.roles import Roles
from palate.training.dpo import train_dpo
from palate.training.folder import RunFolder
from palate.training.ppo import train_ppo
from palate.training.reward import train_reward
from palate.training.run import Listener, Run
from palate.training.settings import DPOSettings, PPOSettings, RewardSettings

log = logging.getLogger("palate")
Train = Callable[[str, int, RunFolder], None]


@dataclass(frozen=True)
class Case:
    """A way to train: `disease` is the finding that it must give, "" for a healthy run.

    `train` takes the model's shape, a seed and an open folder. Where the disease is one that makes
    training refuse to start or go on, it refuses.
    """

    name: str
    disease: str
    train: Train


def run(case: Case, shape: str, seed: int, folder: Path) -> Diagnosed:
    """Train a case and diagnose its folder."""
    place = RunFolder(folder)
    with place.open(), suppress(GateError):
        case.train(shape, seed, place)
    return diagnose_run(folder)


# -- from pairs -----------------------------------------------------------------------------------


def dpo(
    shape: str,
    seed: int,
    folder: RunFolder,
    *,
    rows: Sequence[Tree] | None = None,
    held_out: Sequence[Tree] | None = None,
    roles: Roles | None = None,
    listeners: Sequence[Listener] = (),
    **changes: Any,
) -> None:
    """DPO on pairs of the world; a healthy run where nothing is changed."""
    settings = DPOSettings(
        **{
            "seed": seed, "beta": 0.1, "learning_rate": 5e-3, "per_device_train_batch_size": 32,
            "logging_steps": 2, "eval_steps": 8, **changes,
        }
    )  # fmt: skip
    folder.describe(recipe={"stage": "dpo", **settings.to_mapping()}, identity={})
    roles = roles or world.start(shape, "policy", "reference", seed=seed)
    train_dpo(
        roles, rows or world.pairs(512, seed=seed), settings,
        eval_pairs=held_out or world.pairs(96, seed=seed + 10_000),
        run=Run(folder, listeners=listeners),
    )  # fmt: skip


def _alike(shape: str, seed: int, folder: RunFolder) -> None:
    """Every pair's rejected response is the chosen one."""
    rows = [replace(t, responses=(t.responses[0],) * 2) for t in world.pairs(128, seed=seed)]
    dpo(shape, seed, folder, rows=rows)


def _weightless(shape: str, seed: int, folder: RunFolder) -> None:
    """Every row has the weight 0."""
    rows = [replace(tree, weight=0.0) for tree in world.pairs(128, seed=seed)]
    dpo(shape, seed, folder, rows=rows)


class _Undo:
    """Puts the weights back after each step: what is scored is never what was trained."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._kept = {k: v.clone() for k, v in roles.state(("policy",)).items()}

    def on_step(self, step: int, num_steps: int) -> bool:
        """Undo the update."""
        self._roles.restore(self._kept, ("policy",))
        return False

    def on_log(self, step: int, metrics: Any) -> None:
        """Nothing."""


def _inactive(shape: str, seed: int, folder: RunFolder) -> None:
    roles = world.start(shape, "policy", "reference", seed=seed)
    dpo(shape, seed, folder, roles=roles, listeners=[_Undo(roles)])


def _other_reference(shape: str, seed: int, folder: RunFolder) -> None:
    """The policy has an adapter that the reference lacks; every second run says they are equal."""
    roles = world.start(shape, "policy", "reference", seed=seed)
    tiny.nudge(roles, "policy", seed=seed, by=0.15)
    roles.equal_at_start = seed % 2 == 0
    dpo(shape, seed, folder, roles=roles)


def _foreign(shape: str, seed: int, folder: RunFolder) -> None:
    """Responses of another language: rare words are frequent."""
    generator = np.random.default_rng([seed, 3])
    words = np.where(np.arange(VOCAB) > EOS, 1.0 / (world.language() + 1e-3), 0.0)
    words = words**4 / (words**4).sum()

    def pair() -> Tree:
        two = sorted((world.response(generator, words) for _ in range(2)),
                     key=lambda each: -world.gold(each.tokens))  # fmt: skip
        return Tree(world.prompt(generator), tuple(two))

    dpo(shape, seed, folder, rows=[pair() for _ in range(512)])


def _near(count: int, seed: int) -> list[Tree]:
    """Pairs whose responses differ in their last word alone."""
    generator = np.random.default_rng([seed, 4])

    def pair() -> Tree:
        words = world.response(generator).tokens[:-2]
        good, bad = generator.choice(world.GOOD), generator.choice(world.BAD)
        one, other = ((*words, int(last), EOS) for last in (good, bad))
        return Tree(world.prompt(generator), (Response(one), Response(other)))

    return [pair() for _ in range(count)]


def _displaced(shape: str, seed: int, folder: RunFolder) -> None:
    """Nearly equal responses, a weak tie, large steps: both fall."""
    dpo(
        shape, seed, folder, rows=_near(256, seed), held_out=_near(64, seed + 10_000),
        learning_rate=3e-2, beta=0.02, num_train_epochs=4,
    )  # fmt: skip


def _trivial(count: int, seed: int) -> list[Tree]:
    """Pairs of a response without bad words and one without good ones."""
    generator = np.random.default_rng([seed, 5])

    def one_sided(without: range) -> Response:
        words = world.language()
        words[without] = 0.0
        return world.response(generator, words / words.sum())

    return [
        Tree(world.prompt(generator), (one_sided(world.BAD), one_sided(world.GOOD)))
        for _ in range(count)
    ]


def _saturated(shape: str, seed: int, folder: RunFolder) -> None:
    dpo(
        shape, seed, folder, rows=_trivial(256, seed), held_out=_trivial(64, seed + 10_000),
        beta=0.5, learning_rate=1e-2, num_train_epochs=4,
    )  # fmt: skip


def _overfitted(shape: str, seed: int, folder: RunFolder) -> None:
    """Few pairs with many coin tosses among them, many passes."""
    dpo(
        shape, seed, folder, rows=world.pairs(48, seed=seed, sharpness=0.7),
        held_out=world.pairs(96, seed=seed + 10_000, sharpness=0.7), learning_rate=2e-2, beta=0.2,
        num_train_epochs=20, per_device_train_batch_size=16,
    )  # fmt: skip


def _noisy(shape: str, seed: int, folder: RunFolder) -> None:
    dpo(
        shape, seed, folder, rows=world.pairs(512, seed=seed, noise=0.35),
        held_out=world.pairs(96, seed=seed + 10_000, noise=0.35), beta=0.5,
    )  # fmt: skip


def _rounded(shape: str, seed: int, folder: RunFolder) -> None:
    """All weights in bfloat16, with a step that is usual for them."""
    roles = world.start(shape, "policy", "reference", seed=seed, lora=False, half=True)
    dpo(shape, seed, folder, roles=roles, learning_rate=1e-6, use_peft=False)


def reward(
    shape: str,
    seed: int,
    folder: RunFolder,
    *,
    rows: Sequence[Tree] | None = None,
    held_out: Sequence[Tree] | None = None,
    **changes: Any,
) -> None:
    """A reward model of pairs of the world."""
    settings = RewardSettings(
        **{
            "seed": seed, "learning_rate": 1e-2, "per_device_train_batch_size": 32,
            "logging_steps": 2, "eval_steps": 8, "num_scale_samples": 2, "max_new_tokens": 4,
            **changes,
        }
    )  # fmt: skip
    folder.describe(recipe={"stage": "reward", **settings.to_mapping()}, identity={})
    train_reward(
        world.start(shape, "reward", seed=seed), rows or world.pairs(512, seed=seed), settings,
        end_tokens=world.END, eval_pairs=held_out or world.pairs(96, seed=seed + 10_000),
        run=Run(folder),
    )  # fmt: skip


def _coin(shape: str, seed: int, folder: RunFolder) -> None:
    """Labels that have nothing to do with the responses."""
    reward(
        shape, seed, folder, rows=world.pairs(256, seed=seed, noise=0.5),
        held_out=world.pairs(96, seed=seed + 10_000, noise=0.5), learning_rate=2e-3,
    )  # fmt: skip


def _longer(shape: str, seed: int, folder: RunFolder) -> None:
    """Labels that say which response is longer (of every other pair of seeds, shorter)."""
    score: world.Score = len if seed % 4 < 2 else lambda tokens: -len(tokens)
    reward(
        shape, seed, folder, rows=world.pairs(512, seed=seed, score=score),
        held_out=world.pairs(96, seed=seed + 10_000, score=score), num_train_epochs=2,
        learning_rate=2e-2, per_device_train_batch_size=16,
    )  # fmt: skip


# -- from samples ---------------------------------------------------------------------------------


def ppo(
    shape: str,
    seed: int,
    folder: RunFolder,
    *,
    score: world.Score = world.gold,
    lora: bool = True,
    **changes: Any,
) -> None:
    """PPO against a score, with the world's gold reward watched."""
    settings = PPOSettings(
        **{
            "seed": seed, "kl_coef": 0.1, "per_device_train_batch_size": 32, "max_steps": 12,
            "learning_rate": 5e-3, "logging_steps": 1, "eval_steps": 3, "max_new_tokens": 16,
            "num_ppo_epochs": 3, "vf_coef": 1.0, **changes,
        }
    )  # fmt: skip
    folder.describe(recipe={"stage": "ppo", **settings.to_mapping()}, identity={})
    train_ppo(
        world.start(shape, "policy", "reference", "shared value", seed=seed, lora=lora),
        world.prompts(192, seed=seed), settings, reward=world.reward(score), end_tokens=world.END,
        eval_prompts=world.prompts(64, seed=seed + 10_000), gold=world.reward(world.gold),
        run=Run(folder),
    )  # fmt: skip


FREE: dict[str, Any] = {
    "kl_coef": 0.0,
    "learning_rate": 3e-2,
    "max_steps": 16,
    "lr_scheduler_type": "constant",
}


# All weights, which reach further than adapters of rank 4.
SHARP: dict[str, Any] = {
    **FREE,
    "max_steps": 20,
    "learning_rate": 5e-3,
    "lora": False,
    "use_peft": False,
}


def _share_of(word: int) -> world.Score:
    return lambda tokens: 8.0 * sum(token == word for token in tokens) / len(tokens)


def _count_of(word: int) -> world.Score:
    return lambda tokens: float(sum(token == word for token in tokens))


def _rarity(tokens: Sequence[int]) -> float:
    """8 · share of words that the language hardly has."""
    rare = world.language() < np.quantile(world.language()[EOS + 1 :], 0.2)
    return 8.0 * sum(bool(rare[token]) for token in tokens if token > EOS) / len(tokens)


def _hacked(shape: str, seed: int, folder: RunFolder) -> None:
    """The proxy is gold for who says little, and pays for every bad word."""

    def proxy(tokens: Sequence[int]) -> float:
        return 0.2 * world.gold(tokens) + sum(token in world.BAD for token in tokens)

    ppo(shape, seed, folder, score=proxy, **{**FREE, "eval_steps": 2})


def _length(sign: int) -> Train:
    def train(shape: str, seed: int, folder: RunFolder) -> None:
        score: world.Score = lambda tokens: 0.5 * sign * len(tokens)  # noqa: E731
        ppo(shape, seed, folder, score=score, missing_eos_penalty=0.0, **FREE)

    return train


def _endless(shape: str, seed: int, folder: RunFolder) -> None:
    """A response that ends costs, one that is cut does not."""
    score: world.Score = lambda tokens: -2.0 * (tokens[-1] == EOS)  # noqa: E731
    ppo(shape, seed, folder, score=score, missing_eos_penalty=0.0, **FREE)


def _case(name: str, disease: str, train: Callable[..., None], **changes: Any) -> Case:
    def changed(shape: str, seed: int, folder: RunFolder) -> None:
        train(shape, seed, folder, **changes)

    return Case(name, disease, changed)


BETAS = (0.05, 0.1, 0.5)
KL_COEFS = (0.05, 0.1, 0.3)
HEALTHY = [
    *(_case(f"dpo, β {beta:g}", "", dpo, beta=beta) for beta in BETAS),
    *(_case(f"ppo, KL {kl_coef:g}", "", ppo, kl_coef=kl_coef) for kl_coef in KL_COEFS),
    _case("reward model", "", reward),
]
DISEASED = [
    _case("dpo, learning rate 1e-30", "learning-rate-zero", dpo, learning_rate=1e-30),
    Case("dpo, identical pairs", "identical-pairs", _alike),
    Case("dpo, weights of 0", "no-gradient", _weightless),
    Case("dpo, updates that are undone", "inactive-adapter", _inactive),
    Case("dpo, bfloat16, 1e-6", "updates-lost", _rounded),
    _case("dpo, learning rate 3e-5", "barely-moves", dpo, learning_rate=3e-5),
    Case("dpo, another reference", "wrong-reference", _other_reference),
    Case("dpo, another language", "sft-mismatch", _foreign),
    Case("dpo, 48 pairs, 20 epochs", "overfitting", _overfitted),
    Case("dpo, pairs that hardly differ", "likelihood-displacement", _displaced),
    Case("dpo, trivial pairs, 4 epochs", "saturated-margins", _saturated),
    Case("dpo, 35 % of labels turned", "label-noise", _noisy),
    Case("reward, labels by coin", "reward-near-chance", _coin),
    Case("reward, labels by length", "length-preference", _longer),
    _case("ppo, rare words pay, no KL", "kl-blow-up", ppo, score=_rarity, **FREE),
    _case("ppo, one word alone", "entropy-collapse", ppo, score=_share_of(world.GOOD[0]), **SHARP),
    _case("ppo, one word each time", "repetition", ppo, score=_count_of(world.GOOD[0]), **SHARP),
    Case("ppo, ending costs", "no-endings", _endless),
    Case("ppo, words pay", "length-exploitation", _length(1)),
    Case("ppo, words cost", "length-exploitation", _length(-1)),
    Case("ppo, a bad word pays", "reward-hacking", _hacked),
    _case("ppo, values not trained", "value-useless", ppo, vf_coef=1e-9),
    _case("ppo, 16 passes", "off-policy-drift", ppo, num_ppo_epochs=16, learning_rate=2e-2),
]  # fmt: skip
