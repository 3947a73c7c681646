"""People's preferences and a 34 M-parameter Llama: does anything hold on held-out prompts?

    python benchmarks/hh_34m.py --output-dir benchmarks/runs/hh --pairs 600

The 2,312 pairs of hh-rlhf's harmless-base test file (shared data, no part of the project;
`PALATE_TEST_DATA` names it) are split by prompt, a tenth held out. A byte-level BPE of 16,384 is
trained on the training side, an 8 × 512 Llama starts from random weights, is fine-tuned on chosen
replies, and then becomes a reward model and a DPO policy in one epoch each. Beside their held-out
accuracy stand three things that read nothing: longest wins, a bag of words, and the SFT model's
own likelihood.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from palate.data.grow import preference_trees
from palate.data.hh import format_dialogue
from palate.data.records import Demonstration, Preference
from palate.data.render import Renderer
from palate.data.sources import read_preferences
from palate.data.splits import split_by_prompt
from palate.data.trees import Tree, pack, plant
from palate.experiments.prepare import load_reward
from palate.experiments.run import Frame, Outcome, run_dpo, run_reward, run_sft
from palate.measures.baselines import bag_of_words, longer_wins
from palate.measures.estimate import Estimate, rate_estimate
from palate.models.load import load
from palate.models.roles import Roles
from palate.models.scoring import response_logprobs, rewards
from palate.training.settings import DPOSettings, RewardSettings, SFTSettings

# The shared data, beside the checkout where nothing else is said.
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
DATA = Path(os.environ.get("PALATE_TEST_DATA", _BESIDE))
VOCAB = 16_384
HELD_OUT = 0.1


@dataclass(frozen=True)
class Shape:
    """Of the model; the defaults are 34 M parameters."""

    vocab: int = VOCAB
    width: int = 512
    inner: int = 1408
    layers: int = 8
    heads: int = 8


def as_text(pair: Preference) -> str:
    """A whole dialogue, for the tokenizer to learn from."""
    prompt = pair.prompt if isinstance(pair.prompt, str) else format_dialogue(pair.prompt)
    return f"{prompt}\n\nAssistant: {pair.chosen}\n{pair.rejected}"


def train_tokenizer(pairs: Sequence[Preference], vocab: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE learned on the training pairs."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    backend.train_from_iterator((as_text(pair) for pair in pairs), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def write_random_model(
    folder: Path, tokenizer: PreTrainedTokenizerFast, shape: Shape, *, seed: int
) -> int:
    """A Llama of this shape with random weights, as a folder; returns its number of parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=shape.width, intermediate_size=shape.inner,
                num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
                max_position_embeddings=1024, tie_word_embeddings=True, pad_token_id=0,
                bos_token_id=1, eos_token_id=2,
            )
        )  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return int(model.num_parameters())


def fitting(
    pairs: Sequence[Preference], renderer: Renderer, *, max_length: int
) -> list[Preference]:
    """The pairs whose rows are short enough, so that every method sees the same ones."""
    trees, _ = preference_trees(pairs, renderer, max_length=1_000_000)
    return [p for p, t in zip(pairs, trees, strict=True) if t.longest <= max_length]


def accuracy(margins: np.ndarray, pairs: Sequence[Preference]) -> Estimate:
    """Share of pairs with a margin above 0, a tie ½, clustered by prompt."""
    right = (1 + np.sign(margins)) / 2
    return rate_estimate(right, unit="accuracy", clusters=[str(p.prompt) for p in pairs])


@torch.no_grad()
def margins_of(roles: Roles, trees: Sequence[Tree], score: str) -> dict[str, np.ndarray]:
    """Chosen − rejected of each pair: rewards, or log-probabilities of policy and reference."""
    found: dict[str, list[torch.Tensor]] = {}
    for indices in pack(trees, max_tokens=4096):
        forest = plant([trees[i] for i in indices])
        if score == "reward":
            sums = {"reward": rewards(roles, forest)}
        else:
            sums = {n: response_logprobs(roles, n, forest) for n in ("policy", "reference")}
        for name, values in sums.items():
            chosen, rejected = values.view(-1, 2).unbind(1)
            found.setdefault(name, []).append(chosen - rejected)
    return {name: torch.cat(pieces).double().numpy() for name, pieces in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=10_000, help="training pairs at most")
    parser.add_argument("--max-length", type=int, default=320, help="longer rows are left out")
    parser.add_argument("--sft-epochs", type=float, default=1.0)
    parser.add_argument("--sft-rows", type=int, default=10_000, help="demonstrations at most")
    parser.add_argument("--small", action="store_true", help="a tiny model, to try the script")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder: Path = options.output_dir
    shape = Shape(vocab=600, width=64, inner=128, layers=2, heads=4) if options.small else Shape()

    path = DATA / "hh" / "harmless-base-test.jsonl.gz"
    reading = read_preferences(path, skip_bad=True)
    split = split_by_prompt(reading.records, eval_fraction=HELD_OUT)
    tokenizer = train_tokenizer(split.train, shape.vocab)
    size = write_random_model(folder / "random", tokenizer, shape, seed=options.seed)
    renderer = Renderer(tokenizer)
    fit = fitting(split.train, renderer, max_length=options.max_length)
    held_out = fitting(split.eval, renderer, max_length=options.max_length)
    order = np.random.default_rng(options.seed).permutation(len(fit))
    learn = [fit[i] for i in order[: options.pairs]]
    shown = [fit[i] for i in order[: options.sft_rows]]
    print(f"{reading.num_read} rows, {reading.num_skipped} left out as faulty; ", end="")
    print(f"{len(split.train)} train, {len(split.eval)} held out by prompt; of these ", end="")
    print(f"{len(fit)} and {len(held_out)} have at most {options.max_length} tokens; ", end="")
    print(f"{len(learn)} pairs are trained on; {size:,} parameters", flush=True)

    outcomes = train(folder, learn, shown, held_out, options)
    trees, _ = preference_trees(held_out, renderer, max_length=options.max_length)
    report(folder, outcomes, held_out, trees)


def train(
    folder: Path,
    learn: Sequence[Preference],
    shown: Sequence[Preference],
    held_out: Sequence[Preference],
    options: argparse.Namespace,
) -> dict[str, Outcome]:
    """SFT, then the reward model and DPO from it."""
    frame = Frame(overwrite=True)
    common: dict[str, Any] = {
        "max_length": options.max_length, "seed": options.seed, "max_tokens_per_microbatch": 2048,
        "num_sample_prompts": 1,
    }  # fmt: skip
    outcomes: dict[str, Outcome] = {}
    started = time.perf_counter()

    def done(name: str, outcome: Outcome) -> None:
        outcomes[name] = outcome
        print(f"{name} done after {time.perf_counter() - started:.0f} s", flush=True)

    done(
        "sft",
        run_sft(
            SFTSettings(
                **common, output_dir=str(folder / "sft"), learning_rate=1e-3,
                num_train_epochs=options.sft_epochs, per_device_train_batch_size=16,
                lr_scheduler_type="cosine",
            ),
            load(folder / "random"),
            [Demonstration(p.prompt, p.chosen) for p in shown],
            eval_demonstrations=[Demonstration(p.prompt, p.chosen) for p in held_out],
            frame=frame,
        ),
    )  # fmt: skip
    start = outcomes["sft"].model_dir
    done(
        "reward",
        run_reward(
            RewardSettings(
                **common, output_dir=str(folder / "reward"), learning_rate=3e-4,
                num_scale_samples=16, max_new_tokens=32,
            ),
            load(start),
            learn,
            frame=frame,
        ),
    )  # fmt: skip
    done(
        "dpo",
        run_dpo(
            DPOSettings(
                **common, output_dir=str(folder / "dpo"), learning_rate=3e-4, beta=0.1
            ),
            load(start),
            learn,
            frame=frame,
        ),
    )  # fmt: skip
    return outcomes


def report(
    folder: Path, outcomes: dict[str, Outcome], held_out: Sequence[Preference], trees: list[Tree]
) -> None:
    """The table: what was learned beside what needs no learning."""
    base = load(outcomes["sft"].model_dir)
    roles = Roles(base.model, base.tokenizer)
    load_reward(roles, outcomes["reward"].model_dir)
    rewarded = margins_of(roles, trees, "reward")["reward"]
    adapted = load(outcomes["sft"].model_dir)
    roles = Roles(adapted.model, adapted.tokenizer)
    roles.add_policy_as_is(adapter=outcomes["dpo"].model_dir)
    roles.add_start_reference()
    logps = margins_of(roles, trees, "logps")
    texts: dict[str, Any] = {
        "chosen": [p.chosen for p in held_out], "rejected": [p.rejected for p in held_out],
        "groups": [str(p.prompt) for p in held_out],
    }  # fmt: skip
    rows = {
        "reward model": accuracy(rewarded, held_out),
        "DPO's implicit reward": accuracy(logps["policy"] - logps["reference"], held_out),
        "SFT's own log-probability": accuracy(logps["reference"], held_out),
        "longest wins": longer_wins(**texts),
        "bag of words (cross-validated on the held-out pairs)": bag_of_words(**texts),
    }
    print(f"\n| held-out accuracy, {len(held_out)} pairs | |\n| --- | --- |")
    for name, estimate in rows.items():
        print(f"| {name} | {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}] |")
    print("\n| stage | steps | last training loss | loop, s | rows/s | peak RSS, GB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, outcome in outcomes.items():
        result = outcome.result
        print(
            f"| {name} | {result.steps} | {result.metrics['loss']:.3f} "
            f"| {result.train_seconds:.0f} | {result.examples / result.train_seconds:.2f} "
            f"| {outcome.cost.peak_rss_bytes / 1e9:.1f} |"
        )
    print(f"\nSFT: {outcomes['sft'].result.metrics['eval_loss']:.2f} nats a held-out reply token")


if __name__ == "__main__":
    main()
