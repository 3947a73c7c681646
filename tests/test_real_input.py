"""Real input in small: a pretrained storyteller, a sentiment lexicon, people's preferences.

The folder of shared data is no part of the project; without it these tests are skipped. What they
check in seconds, benchmarks/stories.py and benchmarks/hh_34m.py measure in minutes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.hh_34m import Shape, fitting, train_tokenizer, write_random_model
from benchmarks.stories import first_sentences, judged_pairs, openings, read_lexicon, valence

from palate.data.records import Preference, Prompt
from palate.data.render import Renderer
from palate.data.sources import read_preferences
from palate.data.trees import Response, Tree, plant
from palate.experiments.run import run_dpo, run_reward
from palate.models.load import Loaded, load
from palate.models.roles import Roles
from palate.models.sampling import sample
from palate.models.scoring import response_logprobs
from palate.training.settings import DPOSettings, RewardSettings

# The published reference text of the model, greedy from <s>.
GREEDY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."
)
TOLD = (
    "One day, Tim and his mom went to the park. Tim saw a big dog. The dog wanted to play. "
    "Tim was happy. They played with a red ball and had a lot of fun."
)


@pytest.fixture(scope="module")
def storyteller(shared_data: Path) -> Loaded:
    return load(shared_data / "stories260k")


@pytest.fixture(scope="module")
def lexicon(shared_data: Path) -> dict[str, float]:
    return read_lexicon(shared_data / "vader" / "vader_lexicon.txt")


@pytest.fixture(scope="module")
def vader_pairs(
    storyteller: Loaded, lexicon: dict[str, float]
) -> tuple[list[Preference], list[Preference]]:
    """64 pairs to learn from, about 60 held out: kindest against unkindest of four samples."""
    prompts = openings(180, seed=5)
    roles = Roles(storyteller.model, storyteller.tokenizer)
    roles.add_policy_as_is()
    renderer = Renderer(storyteller.tokenizer)
    drawn = sample(
        roles, "policy", [renderer.prompt(p) for p in prompts], num_samples=4, max_new_tokens=60,
        end_tokens=renderer.end_token_ids, seed=5,
    )  # fmt: skip
    texts = [[first_sentences(renderer.decode(one.tokens)) for one in some] for some in drawn]
    told = [sorted(some, key=lambda text: valence(text, lexicon)) for some in texts]
    texts = [[some[-1], some[0]] for some in told]
    pairs, ceiling = judged_pairs(prompts, texts, lexicon, temperature=0.01, seed=5)
    assert ceiling > 0.95
    assert len(pairs) > 100
    return pairs[:64], pairs[64:]


def test_greedy_text_is_the_published_one(storyteller: Loaded) -> None:
    renderer = Renderer(storyteller.tokenizer)
    roles = Roles(storyteller.model, storyteller.tokenizer)
    roles.add_policy_as_is()
    start = renderer.prompt(Prompt(""))
    assert start == (1,)
    drawn = sample(
        roles, "policy", [start], max_new_tokens=48, end_tokens=renderer.end_token_ids,
        temperature=0, seed=0,
    )  # fmt: skip
    assert renderer.decode(drawn[0][0].tokens).strip().startswith(GREEDY)


def nll(loaded: Loaded, text: str) -> float:
    """Nats a token of a text as the whole response to an empty prompt, its end not counted."""
    renderer = Renderer(loaded.tokenizer)
    tokens = renderer.response_tokens("", text)[:-1]
    roles = Roles(loaded.model, loaded.tokenizer)
    roles.add_policy_as_is()
    tree = Tree(renderer.prompt_tokens(""), (Response(tokens, stopped=False),))
    with torch.no_grad():
        return -float(response_logprobs(roles, "policy", plant([tree]))[0]) / len(tokens)


def test_likelihood_knows_a_story_from_its_words(storyteller: Loaded) -> None:
    words = np.random.default_rng(0).permutation(TOLD.split())
    assert 0.7 < nll(storyteller, TOLD) < 1.8
    assert nll(storyteller, " ".join(words)) > nll(storyteller, TOLD) + 1.0


def test_valence_is_the_mean_over_known_words(lexicon: dict[str, float]) -> None:
    assert lexicon["love"] == 3.2
    assert lexicon["sad"] == -2.1
    assert valence("He was sad. They LOVE the table!", lexicon) == pytest.approx(0.55)
    assert valence("A table.", lexicon) == 0.0


def test_dpo_raises_the_margin_of_held_out_pairs(
    shared_data: Path, tmp_path: Path, vader_pairs: tuple[list[Preference], list[Preference]]
) -> None:
    learn, held_out = vader_pairs
    settings = DPOSettings(
        output_dir=str(tmp_path), learning_rate=1e-3, num_train_epochs=2, beta=0.1,
        per_device_train_batch_size=8, logging_steps=1, num_sample_prompts=0,
    )  # fmt: skip
    outcome = run_dpo(settings, load(shared_data / "stories260k"), learn, eval_pairs=held_out)
    assert outcome.result.history[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-5)
    assert outcome.result.metrics["eval_rewards/margins"] > 0.1
    assert outcome.result.metrics["eval_rewards/accuracies"] > 0.55
    assert outcome.result.metrics["eval_loss"] < np.log(2)


def test_a_reward_model_learns_the_pairs_that_it_sees(
    shared_data: Path, tmp_path: Path, vader_pairs: tuple[list[Preference], list[Preference]]
) -> None:
    learn, _ = vader_pairs
    settings = RewardSettings(
        output_dir=str(tmp_path), learning_rate=3e-3, num_train_epochs=4, num_scale_samples=8,
        max_new_tokens=8,
    )  # fmt: skip
    outcome = run_reward(settings, load(shared_data / "stories260k"), learn, eval_pairs=learn)
    assert outcome.result.metrics["eval_accuracy"] > 0.7


@pytest.fixture(scope="module")
def harmless(shared_data: Path) -> Sequence[Preference]:
    path = shared_data / "hh" / "harmless-base-test.jsonl.gz"
    reading = read_preferences(path, skip_bad=True)
    assert (reading.num_read, reading.num_skipped) == (2312, 4)
    return reading.records


def test_peoples_pairs_become_rows_with_one_end_each(harmless: Sequence[Preference]) -> None:
    some = harmless[:400]
    renderer = Renderer(train_tokenizer(some[:200], vocab=1024))
    for record in some:
        pair = renderer.preference(record)
        assert renderer.eos_token_id not in pair.prompt
        for tokens, text in ((pair.chosen, record.chosen), (pair.rejected, record.rejected)):
            assert tokens[-1] == renderer.eos_token_id
            assert tokens.count(renderer.eos_token_id) == 1
            assert renderer.response_text(record.prompt, tokens) == text


def test_a_reward_model_learns_peoples_pairs(
    harmless: Sequence[Preference], tmp_path: Path
) -> None:
    tokenizer = train_tokenizer(harmless[:300], vocab=1024)
    shape = Shape(vocab=1024, width=64, inner=128, layers=2, heads=4)
    write_random_model(tmp_path / "random", tokenizer, shape, seed=0)
    few = fitting(harmless[:300], Renderer(tokenizer), max_length=160)[:48]
    assert len(few) == 48
    settings = RewardSettings(
        output_dir=str(tmp_path / "reward"), learning_rate=3e-3, num_train_epochs=6,
        use_peft=False, num_scale_samples=8, max_new_tokens=8,
    )  # fmt: skip
    outcome = run_reward(settings, load(tmp_path / "random"), few, eval_pairs=few)
    assert outcome.result.metrics["eval_accuracy"] > 0.8
