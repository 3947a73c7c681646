"""Samples come from the distribution that scoring gives, whoever else is in the batch."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from tests import tiny
from torch import Tensor

from palate.data.trees import Tree, plant
from palate.models.attention import Plan
from palate.models.kv import Decode
from palate.models.load import prepare
from palate.models.roles import Roles
from palate.models.sampling import Sample, sample
from palate.models.scoring import token_logprobs_of

PROMPTS = [(5, 6, 7), (9,), (4, 4, 8, 11, 30, 20), (21, 22), (7, 3)]


def _draw(
    roles: Roles,
    prompts: list[tuple[int, ...]],
    *,
    num_samples: int = 1,
    max_new_tokens: int = 12,
    temperature: float = 1.0,
    max_rows: int = 256,
    end_tokens: tuple[int, ...] = (2, 3, 4, 5, 6),
    seed: int = 0,
) -> list[list[Sample]]:
    """Several tokens end a response, so that rows end at different steps."""
    return sample(
        roles, "policy", prompts, num_samples=num_samples, max_new_tokens=max_new_tokens,
        end_tokens=end_tokens, temperature=temperature, seed=seed, max_rows=max_rows,
    )  # fmt: skip


def _tokens(drawn: list[list[Sample]]) -> list[tuple[int, ...]]:
    return [one.tokens for some in drawn for one in some]


@pytest.fixture(scope="module", params=["llama", "gpt2", "mistral"])
def roles(request: pytest.FixtureRequest) -> Roles:
    """A policy with an adapter that does something."""
    model = tiny.mistral(window=4) if request.param == "mistral" else tiny.MODELS[request.param]()
    found = tiny.roles_of(model, "policy")
    tiny.nudge(found, "policy", by=0.05)
    return found


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampling_and_rescoring_give_the_same_logprobs(roles: Roles, temperature: float) -> None:
    drawn = _draw(roles, PROMPTS, num_samples=3, temperature=temperature)
    assert len({len(one.tokens) for some in drawn for one in some}) > 3
    forest = plant(
        [
            Tree(p, tuple(one.response() for one in some))
            for p, some in zip(PROMPTS, drawn, strict=True)
        ]
    )
    with torch.no_grad():
        scored = token_logprobs_of(roles, "policy", forest, temperature=temperature)
    told = [x for some in drawn for one in some for x in one.logprobs]
    torch.testing.assert_close(scored, torch.tensor(told), rtol=0, atol=2e-5)


def test_neighbours_and_batch_size_do_not_matter(roles: Roles) -> None:
    together = _draw(roles, PROMPTS, num_samples=2)
    assert _tokens(_draw(roles, PROMPTS, num_samples=2, max_rows=2)) == _tokens(together)
    assert _tokens(_draw(roles, PROMPTS[::-1], num_samples=2)[::-1]) == _tokens(together)
    for i in (2, 4):
        assert _tokens(_draw(roles, [PROMPTS[i]], num_samples=2)) == _tokens(together[i : i + 1])
    # A longer limit goes on where a shorter one stopped.
    short = _draw(roles, PROMPTS, max_new_tokens=5)
    long = _draw(roles, PROMPTS, max_new_tokens=12)
    for (a,), (b,) in zip(short, long, strict=True):
        assert b.tokens[: len(a.tokens)] == a.tokens


def test_seeds_and_sample_numbers_differ(roles: Roles) -> None:
    def tokens(*, seed: int = 0, num_samples: int = 1) -> list[tuple[int, ...]]:
        return _tokens(_draw(roles, PROMPTS, seed=seed, num_samples=num_samples))

    assert tokens(seed=1) == tokens(seed=1)
    assert tokens(seed=1) != tokens(seed=2)
    assert len(set(tokens(num_samples=8))) > 20


def test_a_repeated_prompt_goes_on_with_its_sample_numbers(roles: Roles) -> None:
    """However its occurrences lie among others and in batches, they are samples 0, 1, 2 … of it."""
    often = [PROMPTS[0], PROMPTS[2], PROMPTS[0], PROMPTS[0], PROMPTS[2]]
    for max_rows in (256, 2, 4):
        drawn = _draw(roles, often, num_samples=2, max_rows=max_rows)
        (once,) = _draw(roles, [PROMPTS[0]], num_samples=6)
        assert _tokens(drawn[:1] + drawn[2:4]) == _tokens([once])
        (other,) = _draw(roles, [PROMPTS[2]], num_samples=4)
        assert _tokens(drawn[1:2] + drawn[4:]) == _tokens([other])
    repeated = _draw(roles, [PROMPTS[1]] * 40)
    assert len(set(_tokens(repeated))) > 20


def test_stopped_is_told_by_the_last_token_alone(roles: Roles) -> None:
    drawn = [s for some in _draw(roles, PROMPTS, num_samples=6) for s in some]
    for one in drawn:
        assert one.stopped == (one.tokens[-1] in (2, 3, 4, 5, 6))
        assert not set(one.tokens[:-1]) & {2, 3, 4, 5, 6}
        assert one.stopped or len(one.tokens) == 12
        assert len(one.logprobs) == len(one.tokens)
    assert {one.stopped for one in drawn} == {True, False}


def test_the_end_token_at_the_limit_counts_as_stopped(roles: Roles) -> None:
    (first,) = _draw(roles, [PROMPTS[0]], end_tokens=(2,), max_new_tokens=1)
    token = first[0].tokens[0]
    (again,) = _draw(roles, [PROMPTS[0]], end_tokens=(token,), max_new_tokens=1)
    assert again[0].stopped
    assert not first[0].stopped or token == 2


@pytest.mark.parametrize("name", tiny.MODELS)
def test_temperature_zero_equals_greedy_generation_of_transformers(name: str) -> None:
    roles = Roles(tiny.MODELS[name](), tiny.tokenizer())
    roles.add_policy()
    stock = tiny.MODELS[name]()
    drawn = _draw(roles, PROMPTS, temperature=0.0, end_tokens=(tiny.EOS,))
    for prompt, (one,) in zip(PROMPTS, drawn, strict=True):
        ids = torch.tensor([prompt])
        answer = stock.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
            max_new_tokens=12, eos_token_id=tiny.EOS, pad_token_id=tiny.PAD,
        )  # fmt: skip
        assert tuple(answer[0, len(prompt) :].tolist()) == one.tokens


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_first_tokens_are_distributed_as_softmax_says(temperature: float) -> None:
    model = tiny.llama(vocab=8, spread=0.3)
    roles = Roles(model, tiny.tokenizer(8))
    roles.add_policy()
    count = 4000
    (drawn,) = _draw(
        roles, [(5, 3, 4)], num_samples=count, max_new_tokens=1, temperature=temperature
    )
    with torch.no_grad():
        logits = tiny.llama(vocab=8, spread=0.3)(input_ids=torch.tensor([[5, 3, 4]])).logits
    shares = (logits[0, -1].double() / temperature).softmax(-1).numpy()
    counts = np.bincount([one.tokens[0] for one in drawn], minlength=8)
    assert chisquare(counts, shares * count).pvalue > 0.01
    assert shares.max() - shares.min() > 0.05


def test_flat_and_padded_decoders_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    roles = Roles(prepare(tiny.gpt2()), tiny.tokenizer())
    roles.add_policy()
    flat = _draw(roles, PROMPTS, num_samples=2)
    monkeypatch.setattr(roles.trunk, "flat", False)
    padded = _draw(roles, PROMPTS, num_samples=2)
    for a, b in zip(sum(flat, []), sum(padded, []), strict=True):
        assert (a.tokens, a.stopped) == (b.tokens, b.stopped)
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)


def test_global_generators_are_left_alone_and_progress_is_told(roles: Roles) -> None:
    before, told = torch.get_rng_state(), list[int]()
    sample(
        roles, "policy", PROMPTS, max_new_tokens=2, end_tokens=(2,), seed=0, max_rows=2,
        advance=told.append,
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert sum(told) == len(PROMPTS)


def test_finished_rows_make_room_for_waiting_prompts(roles: Roles) -> None:
    """While prompts wait, at least three quarters of the slots are at work."""
    prompts: list[tuple[int, ...]] = [(5 + i % 30, 3 + i // 30) for i in range(60)]
    before = dict(roles.meter.tokens)
    counts: list[int] = []
    whole = roles.trunk.step

    def step(tokens: Tensor, positions: Tensor, plan: Plan) -> Tensor:
        if isinstance(plan, Decode):
            counts.append(len(tokens))
        return whole(tokens, positions, plan)

    roles.trunk.step = step  # type: ignore[method-assign]  # counts, and does the same
    try:
        drawn = _draw(roles, prompts, max_rows=8)
    finally:
        del roles.trunk.step
    lengths = [len(one.tokens) for some in drawn for one in some]
    assert sum(counts) == sum(lengths) - len(lengths)
    assert roles.meter.tokens["sample"] - before["sample"] == sum(counts) + sum(map(len, prompts))
    # After the last prompt was taken up, at most 12 steps are left.
    assert np.mean(counts[:-12]) >= 0.7 * 8
    assert max(lengths) == 12
