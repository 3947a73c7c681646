"""All methods on the embedded world at one KL: what each gains over SFT, and what it costs.

    python benchmarks/methods.py --output-dir benchmarks/runs/methods     # make methods
    python benchmarks/methods.py sigmoid kto ppo --seeds 0                # these alone

One SFT model and one set of pairs; every method trains from them at two strengths with every
training seed. A method's frontier runs through the SFT model and its two arms, straight in √KL;
methods are compared at MATCHED_KL, fixed beforehand, or where their arms end before it, there.
Runs that are there are used again.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from palate.data.records import Preference
from palate.experiments.arms import Arm, Decoding, Kind, Road
from palate.experiments.compare import MEASURED, measure_arms
from palate.experiments.comparison import Comparison
from palate.experiments.cost import Cost
from palate.experiments.demo import train_world_ppo
from palate.experiments.embedded import (
    FULL,
    draw_world_pairs,
    gold_function,
    train_world_sft,
    world_settings,
)
from palate.experiments.passport import read_passport
from palate.experiments.reward_gate import GateRule
from palate.experiments.run import Frame, Outcome, run_dpo, run_online, run_reward
from palate.experiments.world import MAX_RESPONSE_TOKENS, world_prompts
from palate.measures.frontier import MatchedDifference
from palate.models.load import load
from palate.models.reference import ReferenceCache
from palate.training.online_settings import OnlineSettings
from palate.training.settings import DPOSettings, RewardSettings

# Fixed before any seed but 100 was trained.
MATCHED_KL = 1.5
SIZES = replace(FULL, pairs=2000, eval_pairs=200, prompts=200, rate=1.6, ppo_steps=12)
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """A way to train, at two strengths.

    Attributes:
        kind: what trains it.
        common: settings of both arms.
        strengths: what sets the arms apart.
    """

    kind: Kind
    common: Settings
    strengths: tuple[Settings, ...]

    @property
    def road(self) -> Road:
        return "dpo" if self.kind == "dpo" else "rlhf"


def _loss(name: str, *betas: float, **common: Any) -> Method:
    return Method("dpo", {"loss_type": name, **common}, tuple({"beta": beta} for beta in betas))


def _online(method: str, *kl_coefs: float, **common: Any) -> Method:
    strengths = tuple({"kl_coef": kl_coef} for kl_coef in kl_coefs)
    return Method("online", {"method": method, **common}, strengths)


METHODS: dict[str, Method] = {
    "sigmoid": _loss("sigmoid", 0.1, 0.5),
    "robust": _loss("robust", 0.1, 0.5, label_smoothing=0.1),
    "hinge": _loss("hinge", 0.1, 0.5),
    "ipo": _loss("ipo", 0.2, 1.0),
    "exo_pair": _loss("exo_pair", 0.1, 0.5, label_smoothing=0.01),
    "sigmoid_norm": _loss("sigmoid_norm", 1.0, 4.0),
    "discopop": _loss("discopop", 0.1, 0.5),
    "nca_pair": _loss("nca_pair", 0.1, 0.5),
    "bco_pair": _loss("bco_pair", 0.1, 0.5),
    "sppo_hard": _loss("sppo_hard", 0.1, 0.5),
    "apo_zero": _loss("apo_zero", 0.1, 0.5),
    "apo_down": _loss("apo_down", 0.1, 0.5),
    "aot": _loss("aot", 0.1, 0.5),
    "simpo": _loss("simpo", 2.0, 8.0, simpo_gamma=0.5),
    "cpo": _loss("cpo", 0.1, 0.5),
    "orpo": _loss("orpo", 0.5, 2.0),
    "kto": _loss("kto", 0.1, 0.5),
    "bco": _loss("bco", 0.1, 0.5),
    "ppo": Method("ppo", {}, ({"kl_coef": 0.4}, {"kl_coef": 0.1})),
    "rloo": _online("rloo", 0.4, 0.1),
    "grpo": _online("grpo", 0.4, 0.1),
    "reinforce++": _online("reinforce++", 0.4, 0.1),
    "online-dpo": _online("online-dpo", 0.5, 0.1, num_samples_per_prompt=2),
    "iterated-dpo": _online("iterated-dpo", 0.5, 0.1, num_samples_per_prompt=2),
    # Its strength is the number of responses that the best is taken of.
    "best-of-n": Method(
        "online",
        {"method": "best-of-n"},
        ({"num_samples_per_prompt": 4}, {"num_samples_per_prompt": 16}),
    ),
}


@dataclass(frozen=True)
class Start:
    """What every method starts from."""

    folder: Path
    sft: Outcome
    train: Sequence[Preference]
    held_out: Sequence[Preference]
    cache: ReferenceCache

    def reward(self, seed: int) -> Path:
        """The reward model of a training seed."""
        settings = world_settings("reward", SIZES)
        assert isinstance(settings, RewardSettings)
        settings = replace(settings, seed=seed, output_dir=str(self.folder / f"reward-seed-{seed}"))

        def train() -> Outcome:
            return run_reward(
                settings, load(self.sft.model_dir), self.train, eval_pairs=self.held_out,
                frame=Frame(overwrite=True),
            )  # fmt: skip

        return trained(Path(settings.output_dir), train)


def trained(folder: Path, train: Callable[[], Outcome]) -> Path:
    """The model of a run that ended before, or is run now."""
    model = folder / "model"
    return model if (model / "palate.json").exists() else train().model_dir


def begin(folder: Path, *, seed: int) -> Start:
    """SFT model and pairs of the embedded world, a function of the seed."""
    told = json.dumps([repr(SIZES), repr(METHODS), seed])
    note = folder / "settings.json"
    if note.exists() and note.read_text(encoding="utf-8") != told:
        raise SystemExit(f"{folder}: its runs have other settings; give another --output-dir")
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(told, encoding="utf-8")
    sft = train_world_sft(folder / "sft", seed=seed, sizes=SIZES, frame=Frame(overwrite=True))
    wanted = SIZES.pairs + SIZES.eval_pairs
    pairs = draw_world_pairs(load(sft.model_dir), num_pairs=wanted, seed=seed)
    return Start(folder, sft, pairs[: SIZES.pairs], pairs[SIZES.pairs :], ReferenceCache())


def train_one(start: Start, name: str, place: int, seed: int) -> Path:
    """The model of one arm and training seed."""
    method = METHODS[name]
    folder = start.folder / f"{name}-{place}-seed-{seed}"
    changed = {**method.common, **method.strengths[place]}

    def train_dpo() -> Outcome:
        settings = replace(
            world_settings("dpo", SIZES), seed=seed, output_dir=str(folder), **changed
        )
        assert isinstance(settings, DPOSettings)
        return run_dpo(
            settings, load(start.sft.model_dir), start.train, eval_pairs=start.held_out,
            cache=start.cache, frame=Frame(overwrite=True),
        )  # fmt: skip

    def train_ppo() -> Outcome:
        return train_world_ppo(
            start.sft.model_dir, start.reward(seed), SIZES, seed=seed, output_dir=str(folder),
            **changed,
        )  # fmt: skip

    def train_online() -> Outcome:
        settings = replace(
            world_settings("online", SIZES),
            seed=seed,
            output_dir=str(folder),
            eval_steps=0,
            **changed,
        )
        assert isinstance(settings, OnlineSettings)
        return run_online(
            settings, load(start.sft.model_dir), world_prompts(2000, seed=seed + 2000),
            reward=start.reward(seed), gate=GateRule("off"), frame=Frame(overwrite=True),
        )  # fmt: skip

    return trained(
        folder, {"dpo": train_dpo, "ppo": train_ppo, "online": train_online}[method.kind]
    )


def bill(model: Path) -> Cost:
    """What a model cost, an RLHF model's reward model included."""
    passport = read_passport(model)
    assert passport is not None
    assert passport.cost is not None
    reward = passport.reward and passport.reward.cost
    return reward.plus(passport.cost) if reward else passport.cost


def compare(start: Start, names: Sequence[str], seeds: Sequence[int]) -> Comparison:
    """Every arm on the held-out prompts."""
    rewards = {seed: start.reward(seed) for seed in seeds}
    arms = [Arm("sft", "sft", "sft", "SFT", dict.fromkeys(seeds), rewards)]
    for name in names:
        method = METHODS[name]
        for place, strength in enumerate(method.strengths):
            models = {seed: train_one(start, name, place, seed) for seed in seeds}
            label = f"{name} {', '.join(f'{k} = {v:g}' for k, v in strength.items())}"
            arms.append(
                Arm(
                    f"{name}-{place}",
                    method.kind,
                    method.road,
                    label,
                    dict(models),
                    rewards,
                    strength,
                    bill(models[seeds[0]]),
                )  # fmt: skip
            )
    prompts = world_prompts(SIZES.prompts, seed=0, split="heldout")
    decoding = Decoding(num_samples=2, max_new_tokens=MAX_RESPONSE_TOKENS)
    measured = measure_arms(
        arms, start.sft.model_dir, prompts, decoding, gold=gold_function,
        keep=start.folder / MEASURED,
    )  # fmt: skip
    return Comparison(arms, prompts, measured)


def print_table(comparison: Comparison, names: Sequence[str]) -> None:
    """A row a method, the best at the matched KL first."""
    print(
        f"| method | KL of its arms | gain over SFT at {MATCHED_KL} nats | − DPO (sigmoid) there "
        "| length | proxy gain | FLOPs | tokens sampled |"
    )
    print("| --- " * 8 + "|")
    rows = []
    for name in names:
        arms = [f"{name}-{place}" for place in range(len(METHODS[name].strengths))]
        gain = comparison.at_kl(MATCHED_KL, arms)
        against = comparison.at_kl(MATCHED_KL, arms, ["sigmoid-0", "sigmoid-1"])
        rows.append((gain.difference.value if gain else -np.inf, name, arms, gain, against))
    for _, name, arms, gain, against in sorted(rows, key=lambda row: -row[0]):
        cost = comparison.arms[arms[0]].cost
        assert cost is not None
        distances = ", ".join(f"{_value(comparison, arm, 'kl'):.2f}" for arm in arms)
        length = ", ".join(f"{_value(comparison, arm, 'length'):.0f}" for arm in arms)
        drift = ", ".join(f"{_gain(comparison, arm, 'proxy'):.1f}" for arm in arms)
        print(
            f"| {name} | {distances} | {_words(gain)} "
            f"| {'—' if name == 'sigmoid' else _words(against)} | {length} | {drift} "
            f"| {cost.total_flops:.2g} | {cost.tokens_sampled:,} |"
        )


def _value(comparison: Comparison, arm: str, quantity: str) -> float:
    found = comparison.estimate(arm, quantity, "")
    return found.value if found else float("nan")


def _gain(comparison: Comparison, arm: str, quantity: str) -> float:
    return _value(comparison, arm, quantity) - _value(comparison, "sft", quantity)


def _words(found: MatchedDifference | None) -> str:
    if found is None:
        return "never left SFT"
    one = found.difference
    words = f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}]".replace("-", "−")
    return words if found.kl > 0.999 * MATCHED_KL else f"{words} at {found.kl:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=list(METHODS), metavar="METHOD")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--world", type=int, default=0, help="seed of SFT model and pairs")
    options = parser.parse_args()
    unknown = [name for name in options.methods if name not in METHODS]
    if unknown:
        parser.error(f"unknown {unknown[0]!r}; methods are {', '.join(METHODS)}")
    names = list(dict.fromkeys(["sigmoid", *options.methods]))
    start = begin(options.output_dir, seed=options.world)
    print_table(compare(start, names, options.seeds), names)


if __name__ == "__main__":
    main()
