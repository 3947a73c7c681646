"""DPO: every number against a slow version with the stock model."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from tests import tiny
from tests.training.runs import At, Stop, kill, start

from palate.data.trees import Tree, plant
from palate.errors import DataError
from palate.models.moving import add_moving_reference, frozen_twin
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.training.dpo import evaluate_pairs, train_dpo
from palate.training.folder import RunFolder
from palate.training.pair_scores import mismatched, score_pairs, sums_of
from palate.training.run import Listener, Result, Run
from palate.training.session import Session
from palate.training.settings import DPOSettings

PAIRS = tiny.trees(5)


def _roles() -> Roles:
    """A policy away from its reference."""
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    tiny.nudge(roles, "policy")
    return roles


def _slow_logprobs(roles: Roles, name: str) -> list[list[float]]:
    """Per-token log-probabilities with the stock model, pair by pair."""
    with torch.no_grad(), roles.enter(name):
        return [x.tolist() for x in tiny.stock_logprobs(roles.model, PAIRS)]


def _score(roles: Roles, pairs: list[Tree], settings: DPOSettings) -> list[float]:
    cache = ReferenceCache()
    cache.fill(roles, pairs)
    with torch.no_grad():
        scores = score_pairs(roles, pairs, plant(pairs), cache=cache, settings=settings)
    found: list[float] = scores.losses.tolist()
    return found


def _nll(margin: float) -> float:
    return math.log(1 + math.exp(-margin))


def _odds(mean: float) -> float:
    return math.exp(mean) / (1 - math.exp(mean))


# One loss of a pair from p and q, the policy's and the reference's (chosen, rejected) lists of
# per-token log-probabilities, and the step's mean chosen length; β = 0.3, ε = 0.1 where it counts.
Pair = tuple[list[float], list[float]]
SLOW: dict[str, Callable[[Pair, Pair, float], float]] = {
    "sigmoid": lambda p, q, n: _nll(0.3 * _lead(p, q, sum)),
    "robust": lambda p, q, n: (
        (0.9 * _nll(0.3 * _lead(p, q, sum)) - 0.1 * _nll(-0.3 * _lead(p, q, sum))) / 0.8
    ),
    "hinge": lambda p, q, n: max(0.0, 1 - 0.3 * _lead(p, q, sum)),
    "ipo": lambda p, q, n: (_lead(p, q, mean) - 1 / 0.6) ** 2,
    "sigmoid_norm": lambda p, q, n: _nll(0.3 * _lead(p, q, mean)),
    "apo_zero": lambda p, q, n: (
        1 / (1 + math.exp(0.3 * (sum(p[0]) - sum(q[0]))))
        + 1 / (1 + math.exp(-0.3 * (sum(p[1]) - sum(q[1]))))
    ),
    "sft": lambda p, q, n: -sum(p[0]) / n,
    "cpo": lambda p, q, n: _nll(0.3 * (sum(p[0]) - sum(p[1]))) - sum(p[0]) / n,
    "simpo": lambda p, q, n: _nll(0.3 * (mean(p[0]) - mean(p[1])) - 0.5),
    "orpo": lambda p, q, n: (
        0.3 * _nll(math.log(_odds(mean(p[0])) / _odds(mean(p[1])))) - sum(p[0]) / n
    ),
}


def _lead(p: Pair, q: Pair, over: Callable[[list[float]], float]) -> float:
    return over(p[0]) - over(q[0]) - over(p[1]) + over(q[1])


@pytest.mark.parametrize("loss_type", sorted(SLOW))
def test_losses_equal_a_slow_computation(loss_type: str) -> None:
    roles = _roles()
    smoothing = 0.1 if loss_type == "robust" else 0.0
    settings = DPOSettings(beta=0.3, loss_type=loss_type, label_smoothing=smoothing)
    policy, reference = (_slow_logprobs(roles, name) for name in ("policy", "reference"))
    length = mean([len(pair.responses[0].tokens) for pair in PAIRS])
    expected = [
        SLOW[loss_type]((policy[i], policy[i + 1]), (reference[i], reference[i + 1]), length)
        for i in range(0, 2 * len(PAIRS), 2)
    ]
    assert _score(roles, PAIRS, settings) == pytest.approx(expected, rel=2e-4, abs=2e-5)


def test_several_losses_add_up_with_their_weights() -> None:
    roles = _roles()
    both = DPOSettings(loss_type="sigmoid, sft", loss_weights="0.8,0.25")
    parts = [_score(roles, PAIRS, DPOSettings(loss_type=name)) for name in ("sigmoid", "sft")]
    expected = [0.8 * x + 0.25 * y for x, y in zip(*parts, strict=True)]
    assert _score(roles, PAIRS, both) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_tokens_beyond_the_shorter_response_count_alpha_times(alpha: float) -> None:
    roles = _roles()
    sums = {}
    for name in ("policy", "reference"):
        rows = _slow_logprobs(roles, name)
        shared = [min(len(rows[i]), len(rows[i ^ 1])) for i in range(len(rows))]
        sums[name] = [
            sum(row[:n]) + alpha * sum(row[n:]) for row, n in zip(rows, shared, strict=True)
        ]
    ratios = [p - q for p, q in zip(sums["policy"], sums["reference"], strict=True)]
    expected = [_nll(0.1 * (ratios[i] - ratios[i + 1])) for i in range(0, len(ratios), 2)]
    found = _score(roles, PAIRS, DPOSettings(ld_alpha=alpha))
    assert found == pytest.approx(expected, rel=1e-5)


def test_pairs_weigh_what_the_policy_would_say() -> None:
    """WPO: exp(mean of log p(token) − log Σ p²) of both responses, and no gradient through it."""
    roles = _roles()
    with torch.no_grad(), roles.enter("policy"):
        weights = []
        for tree in PAIRS:
            weight = 1.0
            for response in tree.responses:
                row = torch.tensor([[*tree.prompt, *response.tokens]])
                logits = roles.model(input_ids=row).logits[0, len(tree.prompt) - 1 : -1]
                chosen = logits.log_softmax(-1)[range(len(response.tokens)), list(response.tokens)]
                aligned = chosen - logits.softmax(-1).square().sum(-1).log()
                weight *= math.exp(float(aligned.mean()))
            weights.append(weight)
    plain = _score(roles, PAIRS, DPOSettings())
    found = _score(roles, PAIRS, DPOSettings(use_weighting=True))
    assert found == pytest.approx([x * w for x, w in zip(plain, weights, strict=True)], rel=1e-4)
    assert max(weights) / min(weights) > 1.05


@pytest.mark.parametrize("loss_type", ["aot", "aot_unpaired", "aot,sft"])
def test_micro_batches_do_not_change_a_loss_of_the_whole_step(loss_type: str) -> None:
    """A loss that sorts the step has the gradient of the step, however it is cut up."""
    ends, logs = [], []
    for budget in (20, 10_000):
        roles = _roles()
        settings = DPOSettings(
            loss_type=loss_type, per_device_train_batch_size=5, max_steps=2, learning_rate=1e-3,
            warmup_steps=0, max_tokens_per_microbatch=budget, logging_steps=1,
        )  # fmt: skip
        roles.equal_at_start = False
        logs.append(train_dpo(roles, PAIRS, settings, eval_pairs=PAIRS[:3]).history)
        ends.append(torch.cat([p.flatten() for p in roles.state(("policy",)).values()]))
    torch.testing.assert_close(*ends, rtol=0, atol=2e-5)
    assert logs[0][1]["loss"] != logs[0][0]["loss"]
    for cut, whole in zip(*logs, strict=True):
        assert cut == pytest.approx(whole, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("loss_type", ["simpo", "cpo", "orpo", "sft"])
def test_a_loss_without_a_reference_runs_without_one(loss_type: str) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy")
    settings = DPOSettings(
        loss_type=loss_type, per_device_train_batch_size=5, max_steps=8, learning_rate=1e-2,
        warmup_steps=0, logging_steps=1, beta=0.5,
    )  # fmt: skip
    result = train_dpo(roles, PAIRS, settings, eval_pairs=PAIRS)
    assert "reference" not in roles
    assert result.history[-1]["eval_loss"] < result.history[0]["loss"]
    per_pass = sum(tree.num_tokens for tree in PAIRS)
    assert roles.meter.tokens["score"] == per_pass  # the evaluation alone
    over = mean if loss_type in ("simpo", "orpo") else sum
    rewards = [0.5 * over(row) for row in _slow_logprobs(roles, "policy")[::2]]
    assert result.metrics["eval_rewards/chosen"] == pytest.approx(mean(rewards), rel=1e-4)


def test_a_row_that_is_no_pair_is_refused_with_its_place() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    with pytest.raises(DataError, match="toy:1: 1 responses, where loss_type sigmoid needs"):
        train_dpo(roles, tiny.trees(2, responses=1), DPOSettings())


def test_a_loss_that_sorts_refuses_weights() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    rows = [Tree(t.prompt, t.responses, weight=2.0, origin=t.origin) for t in PAIRS]
    with pytest.raises(DataError, match="toy:1: its weight is 2.0, but loss_type aot sorts"):
        train_dpo(roles, rows, DPOSettings(loss_type="aot"))


def test_settings_without_effect_are_told(caplog: pytest.LogCaptureFixture) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    with caplog.at_level("WARNING", logger="palate"):
        train_dpo(roles, PAIRS, DPOSettings(simpo_gamma=1.0, max_steps=1))
    assert "simpo_gamma has no effect with loss_type sigmoid: only simpo read it" in caplog.text


def test_weights_multiply_the_loss_of_their_pair() -> None:
    roles, settings = _roles(), DPOSettings()
    plain = _score(roles, PAIRS, settings)
    weights = [0.0, 0.5, 1.0, 2.0, 3.0]
    weighted = [Tree(t.prompt, t.responses, weight=w) for t, w in zip(PAIRS, weights, strict=True)]
    assert _score(roles, weighted, settings) == pytest.approx(
        [x * w for x, w in zip(plain, weights, strict=True)], rel=1e-5
    )


def test_a_rows_margin_is_asked_of_its_lead_in_rewards(caplog: pytest.LogCaptureFixture) -> None:
    """−log σ(β·margin − asked), as the reward model has it with its own margin."""
    roles = _roles()
    asked = [0.0, 0.5, 1.0, -1.0, 3.0]
    rows = [replace(t, margin=m or None) for t, m in zip(PAIRS, asked, strict=True)]
    policy, reference = (_slow_logprobs(roles, name) for name in ("policy", "reference"))
    expected = [
        _nll(0.1 * _lead((policy[i], policy[i + 1]), (reference[i], reference[i + 1]), sum) - m)
        for i, m in zip(range(0, 10, 2), asked, strict=True)
    ]
    assert _score(roles, rows, DPOSettings()) == pytest.approx(expected, rel=1e-4)
    found = evaluate_pairs(roles, rows, DPOSettings(), cache=ReferenceCache())
    assert found["eval_loss"] == pytest.approx(mean(expected), rel=1e-4)
    fresh = tiny.roles_of(tiny.llama(), "policy", "reference")
    with caplog.at_level("WARNING", logger="palate"):
        train_dpo(fresh, rows, DPOSettings(loss_type="apo_zero", max_steps=1))
    assert "4 rows have a margin, which has no effect: loss_type apo_zero" in caplog.text


def test_swapping_a_pair_mirrors_its_margin() -> None:
    roles = _roles()
    swapped = [Tree(t.prompt, t.responses[::-1]) for t in PAIRS]
    cache = ReferenceCache()
    cache.fill(roles, [*PAIRS, *swapped])
    with torch.no_grad():
        there, back = (
            score_pairs(roles, p, plant(p), cache=cache, settings=DPOSettings()).margins
            for p in (PAIRS, swapped)
        )
    torch.testing.assert_close(there, -back, rtol=0, atol=2e-5)


@pytest.mark.parametrize("loss_type", ["sigmoid", "sigmoid_norm"])
def test_before_the_first_step_no_pair_is_right_or_wrong(loss_type: str) -> None:
    """The reference was scored in other micro-batches: a margin of 1e-6 is rounding, not skill."""
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    settings = DPOSettings(loss_type=loss_type, beta=2.0)
    cache = ReferenceCache()
    cache.fill(roles, PAIRS)
    with torch.no_grad():
        scores = [
            score_pairs(roles, [pair], plant([pair]), cache=cache, settings=settings)
            for pair in PAIRS
        ]
    assert max(float(one.margins.abs().max()) for one in scores) > 0
    for one in scores:
        right, count = sums_of(one, settings)["rewards/accuracies"]
        assert right / count == 0.5


def test_the_first_step_is_at_ln_2_and_then_falls() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    settings = DPOSettings(
        per_device_train_batch_size=5, max_steps=12, learning_rate=2e-2, warmup_steps=0,
        logging_steps=1,
    )  # fmt: skip
    result = train_dpo(roles, PAIRS, settings)
    first, last = result.history[0], result.history[-1]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["rewards/margins"] == pytest.approx(0.0, abs=1e-6)
    assert last["loss"] < 0.5
    assert last["rewards/accuracies"] == 1.0
    assert last["rewards/margins"] == pytest.approx(
        last["rewards/chosen"] - last["rewards/rejected"], abs=1e-5
    )


def test_runs_that_share_a_reference_share_its_cache() -> None:
    cache = ReferenceCache()
    settings = DPOSettings(per_device_train_batch_size=5, max_steps=2, learning_rate=1e-2)
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    alone = train_dpo(roles, PAIRS, settings, cache=cache)
    assert len(cache) == 5
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    shared = train_dpo(roles, PAIRS, settings, cache=cache)
    # The start's check alone, as policy and as reference.
    assert roles.meter.tokens["score"] == 2 * sum(t.num_tokens for t in PAIRS)
    assert shared.history == alone.history


def test_evaluation_is_the_mean_over_pairs() -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    settings = DPOSettings(max_steps=1, max_tokens_per_microbatch=30)
    result = train_dpo(roles, PAIRS, settings, eval_pairs=PAIRS[:3])
    losses = _score(roles, PAIRS[:3], settings)
    assert result.metrics["eval_loss"] == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_all_weights_can_be_trained() -> None:
    roles = Roles(tiny.gpt2(), tiny.tokenizer())
    roles.add_policy()
    roles.add_reference()
    settings = DPOSettings(max_steps=4, learning_rate=1e-3, use_peft=False, warmup_steps=0)
    result = train_dpo(roles, PAIRS, settings)
    assert result.history[0]["loss"] < math.log(2)
    assert result.steps == 4


LABELLED = [
    replace(tree, desirable=number % 3 != 0)
    for number, tree in enumerate(tiny.trees(6, responses=1, seed=3))
]


def test_strangers_are_other_rows_responses() -> None:
    found = mismatched(PAIRS)
    for own, stranger in zip(PAIRS, found, strict=True):
        assert stranger.prompt == own.prompt
        assert stranger.responses in [t.responses for t in PAIRS if t.prompt != own.prompt]
    lonely = [Tree((1, 2), t.responses, origin=t.origin) for t in PAIRS]
    with pytest.raises(DataError, match="toy:1: every row has its prompt, but loss_type kto"):
        mismatched(lonely)


@pytest.mark.parametrize("rows", [LABELLED, PAIRS], ids=["labelled", "pairs"])
@pytest.mark.parametrize("loss_type", ["kto", "bco", "apo_zero_unpaired"])
def test_losses_of_single_responses_equal_a_slow_computation(
    loss_type: str, rows: list[Tree]
) -> None:
    """One evaluation, from log-probabilities of the stock model, one response at a time."""
    roles, beta = _roles(), 0.3
    settings = DPOSettings(
        loss_type=loss_type, beta=beta, desirable_weight=1.5, undesirable_weight=0.5,
        max_tokens_per_microbatch=30,
    )  # fmt: skip

    def ratios(some: list[Tree]) -> list[float]:
        sums = {}
        for name in ("policy", "reference"):
            with torch.no_grad(), roles.enter(name):
                sums[name] = [float(x.sum()) for x in tiny.stock_logprobs(roles.model, some)]
        return [p - q for p, q in zip(sums["policy"], sums["reference"], strict=True)]

    own = ratios(rows)
    labels = [
        tree.desirable if len(tree.responses) == 1 else place == 0
        for tree in rows
        for place in range(len(tree.responses))
    ]
    good = [beta * d for d, label in zip(own, labels, strict=True) if label]
    bad = [beta * d for d, label in zip(own, labels, strict=True) if not label]
    z = max(0.0, mean(ratios(mismatched(rows))))
    delta = (mean(good) + mean(bad)) / 2
    each = []
    for d, label in zip(own, labels, strict=True):
        sign, weight = (1, 1.5) if label else (-1, 0.5)
        each.append(
            weight
            * {
                "kto": 1 / (1 + math.exp(sign * beta * (d - z))),
                "apo_zero_unpaired": 1 / (1 + math.exp(sign * beta * d)),
                "bco": _nll(sign * (beta * d - delta)),
            }[loss_type]
        )
    found = evaluate_pairs(roles, rows, settings, cache=ReferenceCache())
    assert found["eval_loss"] == pytest.approx(mean(each), rel=1e-4)
    assert found["eval_rewards/chosen"] == pytest.approx(mean(good), rel=1e-4, abs=1e-6)
    assert found["eval_rewards/rejected"] == pytest.approx(mean(bad), rel=1e-4, abs=1e-6)
    assert ("eval_rewards/accuracies" in found) == (rows is PAIRS)


@pytest.mark.parametrize("loss_type", ["kto", "bco", "apo_zero_unpaired"])
def test_labelled_responses_are_told_apart(loss_type: str) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    settings = DPOSettings(
        loss_type=loss_type, per_device_train_batch_size=6, max_steps=30, learning_rate=2e-2,
        warmup_steps=0, logging_steps=1,
    )  # fmt: skip
    result = train_dpo(roles, LABELLED, settings)
    first, last = result.history[0], result.history[-1]
    assert first["loss"] == pytest.approx(math.log(2) if loss_type == "bco" else 0.5, abs=1e-5)
    assert last["loss"] < 0.8 * first["loss"]
    assert last["rewards/chosen"] > last["rewards/rejected"] + 0.5


def test_the_threshold_of_bco_goes_on_where_a_run_was_stopped(tmp_path: Path) -> None:
    settings = DPOSettings(
        loss_type="bco", per_device_train_batch_size=3, max_steps=6, learning_rate=2e-2,
        logging_steps=1, save_steps=3, save_total_limit=4,
    )  # fmt: skip

    def run(folder: str, listeners: tuple[Listener, ...] = (), resume: bool = False) -> Result:
        roles = tiny.roles_of(tiny.llama(), "policy", "reference")
        where = RunFolder(tmp_path / folder)
        with where.open(resume=resume):
            return train_dpo(
                roles, LABELLED, settings, run=Run(where, resume=resume, listeners=listeners)
            )

    straight = run("straight")
    with pytest.raises(Stop):
        run("stopped", listeners=(At(4, kill),))
    resumed = run("stopped", resume=True)
    shifts = [row["reward_shift"] for row in straight.history if "reward_shift" in row]
    assert shifts[0] == 0.0
    assert shifts[-1] != 0.0
    assert resumed.history == straight.history


@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        (tiny.trees(2, responses=1), {"loss_type": "kto"}, "toy:1: a single response without a l"),
        (LABELLED, {"loss_type": "kto,sigmoid"}, "needs a chosen and a rejected one"),
        (LABELLED, {"loss_type": "bco", "ld_alpha": 0.5}, "but ld_alpha compares the two"),
        (LABELLED, {"loss_type": "bco", "use_weighting": True}, "but use_weighting compares"),
        ([*LABELLED, *PAIRS], {"loss_type": "bco"}, "toy:1: 2 responses, where the first row has"),
    ],
)
def test_rows_that_do_not_fit_the_loss_are_refused(
    rows: list[Tree], settings: dict[str, Any], words: str
) -> None:
    roles = tiny.roles_of(tiny.llama(), "policy", "reference")
    with pytest.raises(DataError, match=words):
        train_dpo(roles, rows, DPOSettings(**settings))


def _following(peft: bool) -> Roles:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    twin = frozen_twin(roles)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        roles.add_policy(tiny.lora() if peft else None)
    add_moving_reference(roles, twin)
    return roles


@pytest.mark.parametrize("peft", [True, False], ids=["lora", "full"])
def test_the_loss_starts_anew_where_the_reference_catches_up(peft: bool) -> None:
    """α = 1 after every second step: steps 1, 3 and 5 start at ln 2, steps 2 and 4 below."""
    settings = DPOSettings(
        per_device_train_batch_size=5, max_steps=5, learning_rate=1e-2 if peft else 1e-3,
        warmup_steps=0, logging_steps=1, sync_ref_model=True, ref_model_mixup_alpha=1.0,
        ref_model_sync_steps=2, use_peft=peft,
    )  # fmt: skip
    losses = [row["loss"] for row in train_dpo(_following(peft), PAIRS, settings).history]
    assert losses[0::2] == pytest.approx([math.log(2)] * 3, abs=1e-4)
    assert max(losses[1::2]) < math.log(2) - 0.01


def test_a_moved_reference_goes_on_where_a_run_was_stopped(tmp_path: Path) -> None:
    settings = DPOSettings(
        per_device_train_batch_size=3, max_steps=6, learning_rate=2e-2, logging_steps=1,
        save_steps=3, save_total_limit=4, sync_ref_model=True, ref_model_sync_steps=2,
    )  # fmt: skip

    def run(folder: str, listeners: tuple[Listener, ...] = (), resume: bool = False) -> Result:
        where = RunFolder(tmp_path / folder)
        with where.open(resume=resume):
            return train_dpo(
                _following(peft=True), PAIRS, settings, eval_pairs=PAIRS[:2],
                run=Run(where, resume=resume, listeners=listeners),
            )  # fmt: skip

    straight = run("straight")
    with pytest.raises(Stop):
        run("stopped", listeners=(At(4, kill),))
    assert run("stopped", resume=True).history == straight.history


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        (PAIRS, {"loss_type": "aot"}),
        (PAIRS, {"loss_type": "simpo"}),
        (PAIRS, {"loss_type": "kto,sft"}),
        (LABELLED, {"loss_type": "kto"}),
        (LABELLED, {"loss_type": "bco"}),
        (PAIRS, {"sync_ref_model": True, "ref_model_sync_steps": 2}),
        (PAIRS, {"use_weighting": True, "ld_alpha": 0.5}),
    ],
    ids=["coupled", "no reference", "kto and sft", "kto", "bco", "moving", "weighted"],
)
def test_every_kind_of_loss_is_rehearsed_and_leaves_no_trace(
    rows: list[Tree], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log, the weights and the bill are those of a run without the rehearsal."""
    wanted = DPOSettings(
        per_device_train_batch_size=2, max_steps=3, logging_steps=1, warmup_steps=0, **settings
    )
    seen: list[float] = []
    real = Session.rehearse

    def always(self: Session, trees: Any, loss: Any, *, sampled: bool = False) -> None:
        def watched(*args: Any) -> torch.Tensor:
            found: torch.Tensor = loss(*args)
            seen.append(float(found.detach()))
            return found

        real(self, trees, watched, sampled=True)

    ends = []
    for method in (always, lambda *_, **__: None):
        monkeypatch.setattr(Session, "rehearse", method)
        moving = "sync_ref_model" in settings
        roles = _following(peft=True) if moving else start("dpo", dropout=0.3)
        history = train_dpo(roles, rows, wanted).history
        weights = torch.cat([p.flatten() for p in roles.state(("policy",)).values()])
        ends.append((history, weights.tolist(), roles.meter.flops, roles.meter.tokens))
    assert len(seen) == 1
    assert math.isfinite(seen[0])
    assert ends[0] == ends[1]
