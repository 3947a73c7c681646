"""Both roads on a real pretrained model: kinder stories from a 260,000-parameter storyteller.

    python benchmarks/stories.py --output-dir benchmarks/runs/stories

The model (TinyStories, Llama shape) is in the shared data folder, which is no part of the project:
`PALATE_TEST_DATA` names it. The reward is the mean valence of the words that the VADER lexicon
knows, a plain function of the text, so what every arm really gained is known.

1. openings are put together here; the model continues them, and its continuations, cut after two
   sentences, are the demonstrations of SFT: a short story ends in EOS, as every method needs
2. two samples of the SFT model an opening become a pair; the reward labels it with Bradley–Terry
   noise
3. DPO at three β; a reward model, then PPO at three KL coefficients
4. the comparison on held-out openings, the reward function as gold
"""

import argparse
import itertools
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from palate.data.records import Demonstration, Preference, Prompt
from palate.data.render import Renderer
from palate.experiments.arms import Arm, Decoding, Judge
from palate.experiments.compare import MEASURED, measure_arms, write_results
from palate.experiments.comparison import Comparison
from palate.experiments.results import results_of
from palate.experiments.reward_gate import GateRule
from palate.experiments.run import Frame, Outcome, run_dpo, run_ppo, run_reward, run_sft
from palate.models.load import Loaded, load
from palate.models.roles import Roles
from palate.models.sampling import sample
from palate.training.settings import DPOSettings, PPOSettings, RewardSettings, SFTSettings

# The shared data, beside the checkout where nothing else is said.
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
DATA = Path(os.environ.get("PALATE_TEST_DATA", _BESIDE))
BETAS = (0.05, 0.2, 0.8)
KL_COEFS = (0.3, 0.1, 0.03)
LABEL_TEMPERATURE = 0.4
MAX_NEW_TOKENS = 80
SENTENCES = 2
_WORD = re.compile(r"[a-z']+")
_END = re.compile(r"[.!?][\"”]?(?=\s|$)")

KINDS = (
    "girl", "boy", "cat", "dog", "bird", "bear", "rabbit", "frog", "fish", "mouse", "fox", "duck",
    "man", "lady", "king", "princess", "lion", "pig", "cow", "bee",
)  # fmt: skip
NAMES = (
    "Lily", "Tom", "Sue", "Ben", "Mia", "Max", "Anna", "Tim", "Lucy", "Sam", "Jack", "Amy", "Bob",
    "Sara", "Leo",
)  # fmt: skip
MANNERS = ("little", "big", "old", "sad", "happy", "small", "young", "brave")


def read_lexicon(path: Path) -> dict[str, float]:
    """Valence of each word of the VADER lexicon, about −4 to 4; emoticons are left out."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {row[0]: float(row[1]) for row in rows if _WORD.fullmatch(row[0])}


def valence(text: str, lexicon: Mapping[str, float]) -> float:
    """Mean valence of the words that the lexicon knows; 0 where it knows none."""
    known = [lexicon[word] for word in _WORD.findall(text.lower()) if word in lexicon]
    return float(np.mean(known)) if known else 0.0


def openings(count: int, *, seed: int) -> list[Prompt]:
    """Different first sentences, in an order that the seed decides."""
    parts = list(itertools.product(MANNERS, KINDS, NAMES))
    order = np.random.default_rng(seed).permutation(len(parts))[:count]
    return [
        Prompt(f"Once upon a time, there was a {manner} {kind} named {name}.")
        for manner, kind, name in (parts[i] for i in order)
    ]


def first_sentences(text: str, count: int = SENTENCES) -> str:
    """The text up to the end of its sentence number `count`; "" where it has fewer."""
    ends = list(itertools.islice(_END.finditer(text), count))
    return text[: ends[-1].end()] if len(ends) == count else ""


def continuations(
    loaded: Loaded, prompts: Sequence[Prompt], *, num_samples: int, seed: int
) -> list[list[str]]:
    """Sampled texts of every prompt; those that met the limit are left out."""
    roles = Roles(loaded.model, loaded.tokenizer)
    roles.add_policy_as_is()
    renderer = Renderer(loaded.tokenizer)
    drawn = sample(
        roles, "policy", [renderer.prompt(p) for p in prompts], num_samples=num_samples,
        max_new_tokens=MAX_NEW_TOKENS, end_tokens=renderer.end_token_ids, seed=seed,
    )  # fmt: skip
    return [[renderer.decode(one.tokens) for one in some if one.stopped] for some in drawn]


def demonstrations(loaded: Loaded, prompts: Sequence[Prompt], *, seed: int) -> list[Demonstration]:
    """The model's own continuations, cut after two sentences."""
    roles = Roles(loaded.model, loaded.tokenizer)
    roles.add_policy_as_is()
    renderer = Renderer(loaded.tokenizer)
    drawn = sample(
        roles, "policy", [renderer.prompt(p) for p in prompts], max_new_tokens=MAX_NEW_TOKENS,
        end_tokens=renderer.end_token_ids, seed=seed,
    )  # fmt: skip
    texts = [first_sentences(renderer.decode(some[0].tokens)) for some in drawn]
    return [Demonstration(p.prompt, t) for p, t in zip(prompts, texts, strict=True) if t.strip()]


def judged_pairs(
    prompts: Sequence[Prompt],
    texts: Sequence[Sequence[str]],
    lexicon: Mapping[str, float],
    *,
    temperature: float,
    seed: int,
) -> tuple[list[Preference], float]:
    """Pairs labeled by the reward with Bradley–Terry noise.

    Returns:
        The pairs, and the accuracy that the reward itself has on such labels (the ceiling).
    """
    generator = np.random.default_rng(seed)
    pairs: list[Preference] = []
    ceilings = []
    for prompt, some in zip(prompts, texts, strict=True):
        if len(some) < 2 or some[0] == some[1] or not all(t.strip() for t in some[:2]):
            continue
        gap = (valence(some[0], lexicon) - valence(some[1], lexicon)) / temperature
        chance = 0.5 * (1.0 + math.tanh(0.5 * gap))
        first = generator.random() < chance
        chosen, rejected = (some[0], some[1]) if first else (some[1], some[0])
        pairs.append(Preference(prompt.prompt, chosen, rejected))
        ceilings.append(max(chance, 1.0 - chance))
    return pairs, float(np.mean(ceilings))


def train(
    folder: Path, base: Path, lexicon: Mapping[str, float], *, scale: float, seed: int
) -> dict[str, Any]:
    """Everything up to trained arms; returns outcomes, the held-out pairs' figures and prompts."""
    frame = Frame(overwrite=True)
    common: dict[str, Any] = {"max_length": 200, "overlong": "drop", "seed": seed}
    shown = openings(2400, seed=seed)
    num_sft, num_pairs, num_prompts = (round(n * scale) for n in (600, 1400, 250))
    teach, ask = shown[:num_sft], shown[num_sft : num_sft + num_pairs]
    judge = shown[-num_prompts:]
    sft = run_sft(
        SFTSettings(
            **common, output_dir=str(folder / "sft"), learning_rate=5e-4, num_train_epochs=2,
            per_device_train_batch_size=16, lr_scheduler_type="cosine",
        ),
        load(base),
        demonstrations(load(base), teach, seed=seed),
        frame=frame,
    )  # fmt: skip
    start = sft.model_dir
    texts = continuations(load(start), ask, num_samples=2, seed=seed + 1)
    pairs, ceiling = judged_pairs(ask, texts, lexicon, temperature=LABEL_TEMPERATURE, seed=seed)
    cut = round(0.85 * len(pairs))
    learn, held_out = pairs[:cut], pairs[cut:]
    lora: dict[str, Any] = {"lora_r": 16, "lora_alpha": 32.0, "per_device_train_batch_size": 32}
    outcomes: dict[str, Outcome] = {"sft": sft}
    for beta in BETAS:
        settings = DPOSettings(
            **common, **lora, output_dir=str(folder / f"dpo-beta-{beta:g}"), beta=beta,
            learning_rate=1e-3, num_train_epochs=2,
        )  # fmt: skip
        outcomes[f"dpo-beta-{beta:g}"] = run_dpo(
            settings, load(start), learn, eval_pairs=held_out, frame=frame
        )
    outcomes["reward"] = run_reward(
        RewardSettings(
            **common, **lora, output_dir=str(folder / "reward"), learning_rate=2e-3,
            num_train_epochs=3, max_new_tokens=MAX_NEW_TOKENS, num_scale_samples=200,
        ),
        load(start),
        learn,
        eval_pairs=held_out,
        frame=frame,
    )  # fmt: skip
    lora["per_device_train_batch_size"] = 96
    for kl_coef in KL_COEFS:
        settings_ppo = PPOSettings(
            **common, **lora, output_dir=str(folder / f"ppo-kl-{kl_coef:g}"), kl_coef=kl_coef,
            learning_rate=2e-3, max_steps=max(2, round(30 * scale)), num_ppo_epochs=2,
            num_mini_batches=2, max_new_tokens=MAX_NEW_TOKENS,
        )  # fmt: skip
        outcomes[f"ppo-kl-{kl_coef:g}"] = run_ppo(
            settings_ppo,
            load(start),
            ask,
            reward=outcomes["reward"].model_dir,
            gate=GateRule("off"),
            frame=frame,
        )
    return {
        "outcomes": outcomes, "ceiling": ceiling, "num_pairs": len(learn),
        "num_held_out": len(held_out), "prompts": judge,
    }  # fmt: skip


def compare(folder: Path, trained: Mapping[str, Any], gold: Judge) -> dict[str, Any]:
    """All arms on the held-out openings; an RLHF arm's bill includes the reward model's."""
    outcomes: dict[str, Outcome] = trained["outcomes"]
    sft, reward = outcomes["sft"], outcomes["reward"]
    scored = {0: reward.model_dir}
    arms = [Arm("sft", "sft", "sft", "SFT", {0: None}, scored, cost=sft.cost)]
    for beta in BETAS:
        one = outcomes[f"dpo-beta-{beta:g}"]
        name, label = f"dpo-beta-{beta:g}", f"DPO β = {beta:g}"
        models = {0: one.model_dir}
        arms.append(Arm(name, "dpo", "dpo", label, models, scored, {"beta": beta}, one.cost))
    for kl_coef in KL_COEFS:
        one = outcomes[f"ppo-kl-{kl_coef:g}"]
        name, label = f"ppo-kl-{kl_coef:g}", f"PPO KL {kl_coef:g}"
        models = {0: one.model_dir}
        cost = reward.cost.plus(one.cost)
        arms.append(Arm(name, "ppo", "rlhf", label, models, scored, {"kl_coef": kl_coef}, cost))
    prompts = trained["prompts"]
    decoding = Decoding(num_samples=2, max_new_tokens=MAX_NEW_TOKENS)
    measured = measure_arms(
        arms, sft.model_dir, prompts, decoding, gold=gold, keep=folder / MEASURED
    )
    results = results_of(Comparison(arms, prompts, measured), title="Kinder stories")
    write_results(results, folder)
    return results


def best_of(
    base: Path, prompts: Sequence[Prompt], lexicon: Mapping[str, float], *, n: int
) -> float:
    """Mean reward of the best of n SFT samples: what selection alone could give."""
    texts = continuations(load(base), prompts, num_samples=n, seed=99)
    return float(np.mean([max(valence(t, lexicon) for t in some) for some in texts if some]))


def print_table(results: Mapping[str, Any]) -> None:
    """Arms in the page's form."""
    versus = {c["a"]: c["difference"] for c in results["head_to_head"] if c["b"] == "sft"}

    def shown(entry: Mapping[str, float] | None, digits: int = 2) -> str:
        if entry is None:
            return "—"
        value, low, high = (f"{entry[key]:.{digits}f}" for key in ("value", "low", "high"))
        return f"{value} [{low}, {high}]"

    print(
        "\n| arm | gold | gold − SFT | KL, nats/response | win rate against SFT | proxy |", end=""
    )
    print(" length | cost, s |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, arm in results["arms"].items():
        print(
            f"| {name}{' (chosen)' if arm['chosen'] else ''} | {shown(arm['gold_reward'])} "
            f"| {shown(versus.get(name))} | {shown(arm['kl'])} "
            f"| {shown(arm['win_rate_vs_sft'])} | {shown(arm['proxy_reward'])} "
            f"| {arm['length']['value']:.0f} | {arm['cost']['wall_s']:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lexicon = read_lexicon(DATA / "vader" / "vader_lexicon.txt")

    def gold(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        return [valence(text, lexicon) for text in responses]

    started = time.perf_counter()
    trained = train(
        options.output_dir, DATA / "stories260k", lexicon, scale=options.scale, seed=options.seed
    )
    outcomes: dict[str, Outcome] = trained["outcomes"]
    start = outcomes["sft"].model_dir
    results = compare(options.output_dir, trained, gold)
    top = best_of(start, trained["prompts"], lexicon, n=16)
    print_table(results)
    reward = outcomes["reward"].result.metrics
    print(f"\npairs: {trained['num_pairs']} to learn from, {trained['num_held_out']} held out")
    print(f"label ceiling {trained['ceiling']:.3f}; reward model {reward['eval_accuracy']:.3f}")
    for name, outcome in outcomes.items():
        if name.startswith("dpo"):
            accuracy = outcome.result.metrics["eval_rewards/accuracies"]
            print(f"{name}: held-out accuracy of the implicit reward {accuracy:.3f}")
    print(
        f"best of 16 by gold: {top:.2f}; reward model alone: {outcomes['reward'].cost.wall_s:.0f} s"
    )
    print(results["verdict"]["sentence"], *results["verdict"]["because"], sep="\n- ")
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
