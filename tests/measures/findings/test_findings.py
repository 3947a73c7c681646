"""Every rule on rows written by hand: one run that has the disease, and one that nearly has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from palate.measures.findings.curves import Curves
from palate.measures.findings.finding import Finding
from palate.measures.findings.learning import NO_STEP
from palate.measures.findings.rules import RULES, Watch, diagnose, look, worst_first, worst_level

Row = Mapping[str, float]
DPO = {"beta": 0.1, "max_steps": 10}
# A step of a healthy DPO run.
FINE = {
    "loss": 0.5, "grad_norm": 1.0, "learning_rate": 1e-3, "reference_gap": 6.0,
    "rewards/chosen": 0.1, "rewards/rejected": -0.5, "rewards/margins": 0.6,
    "rewards/accuracies": 0.8, "logps/chosen": -30.0, "logps/rejected": -40.0, "update/lost": 0.0,
}  # fmt: skip
ROLLED = {
    "objective/kl": 2.0, "objective/kl_k3": 2.1, "objective/entropy": 60.0, "length": 20.0,
    "eos_rate": 0.95, "repetition": 0.02, "objective/scores": 1.0, "grad_norm": 1.0, "loss": 0.1,
    "objective/length_correlation": 0.1, "policy/clipfrac_avg": 0.1, "policy/approxkl_avg": 0.01,
    "val/explained_variance": 0.3, "learning_rate": 1e-3, "update/lost": 0.0,
}  # fmt: skip


def steps(*rows: Row) -> list[dict[str, float]]:
    """Rows as a log has them, numbered from 1."""
    return [{"step": number, **row} for number, row in enumerate(rows, 1)]


def of(base: Row, count: int = 6, **changes: float | Sequence[float]) -> list[dict[str, float]]:
    """Rows like `base`; a change is a value, or a value a row (slashes written __)."""
    named = {name.replace("__", "/"): value for name, value in changes.items()}
    return steps(
        *(
            {**base, **{n: v[i] if isinstance(v, Sequence) else v for n, v in named.items()}}
            for i in range(count)
        )
    )


def evals(losses: Sequence[float], **changes: float) -> list[dict[str, float]]:
    """A DPO run with an evaluation after each row."""
    named = {f"eval_{name.replace('__', '/')}": value for name, value in changes.items()}
    rows = of(FINE, len(losses))
    told = [{"step": row["step"], "eval_loss": loss, **named} for row, loss in zip(rows, losses)]  # noqa: B905
    return [row for pair in zip(rows, told, strict=True) for row in pair]


def golds(proxy: Sequence[float], gold: Sequence[float], se: float = 0.1) -> list[dict[str, float]]:
    """A PPO run with evaluations of proxy and gold."""
    return [
        {"step": number, "eval_objective/scores": p, "eval_objective/scores_se": se,
         "eval_objective/gold": g, "eval_objective/gold_se": se}
        for number, (p, g) in enumerate(zip(proxy, gold, strict=True), 1)
    ]  # fmt: skip


@dataclass(frozen=True)
class Written:
    """Rows with a disease at a level, and rows just short of it."""

    name: str
    level: str
    sick: list[dict[str, float]]
    near: list[dict[str, float]]
    settings: Mapping[str, Any] = field(default_factory=lambda: DPO)


GONE: dict[str, Any] = {"reference_gap": 0.0, "rewards__margins": 0.0, "rewards__chosen": 0.0}
WRITTEN = [
    Written("learning-rate-zero", "sick", of(FINE, learning_rate=NO_STEP),
            of(FINE, learning_rate=[NO_STEP] * 2 + [1e-9] * 4)),
    Written("empty-responses", "sick", of(FINE, logps__chosen=0.0, logps__rejected=0.0),
            of(FINE, logps__chosen=0.0, logps__rejected=-1e-6)),
    Written("identical-pairs", "sick",
            of(FINE, logps__rejected=-30.0, rewards__margins=0.0, grad_norm=0.0),
            of(FINE, logps__rejected=-30.0, rewards__margins=1e-3)),
    Written("no-gradient", "sick", of(FINE, grad_norm=0.0, loss=0.0),
            of(FINE, grad_norm=1e-9, loss=0.0)),
    Written("inactive-adapter", "sick", of(FINE, **GONE),
            of(FINE, **{**GONE, "reference_gap": 1e-3})),
    Written("inactive-adapter", "sick", of(FINE, 1, grad_norm=0.0, loss=0.69), of(FINE, 1)),
    Written("updates-lost", "sick", of(FINE, update__lost=0.95), of(FINE, update__lost=0.45)),
    Written("updates-lost", "warning", of(FINE, update__lost=0.6),
            of(FINE, update__lost=[0.0, 0.0, 0.9, 0.3, 0.2, 0.1])),
    Written("barely-moves", "warning", of(FINE, reference_gap=0.1), of(FINE, reference_gap=0.3)),
    Written("barely-moves", "warning", of(ROLLED, objective__kl_k3=0.001),
            of(ROLLED, 4, objective__kl_k3=0.001)),
    Written("wrong-reference", "warning", of({**FINE, "start/reference_gap": 3.0}),
            of({**FINE, "start/reference_gap": 0.1})),
    Written("sft-mismatch", "sick", of({**FINE, "start/surprise": 2.5}),
            of({**FINE, "start/surprise": 0.3})),
    Written("overfitting", "warning", evals([0.66, 0.61, 0.6, 0.62, 0.64, 0.67]),
            evals([0.66, 0.61, 0.6, 0.61, 0.62, 0.64])),
    Written("overfitting", "sick", evals([0.66, 0.61, 0.65, 0.68, 0.75, 0.9]),
            evals([0.9, 0.75, 0.68, 0.65, 0.61, 0.6])),
    Written("likelihood-displacement", "warning", of(FINE, rewards__chosen=-0.6),
            of(FINE, rewards__chosen=-0.3)),
    Written("likelihood-displacement", "sick", of(FINE, rewards__chosen=-2.0),
            of(FINE, rewards__chosen=-2.0, rewards__margins=-0.1)),
    Written("saturated-margins", "warning", of(FINE, rewards__margins=6.0, rewards__accuracies=1.0),
            of(FINE, rewards__margins=6.0, rewards__accuracies=0.9)),
    Written("label-noise", "warning",
            evals([0.6] * 6, rewards__accuracies=0.7, rewards__confident_errors=0.2),
            evals([0.6] * 6, rewards__accuracies=0.7, rewards__confident_errors=0.1)),
    Written("label-noise", "sick",
            evals([0.6] * 6, rewards__accuracies=0.62, rewards__confident_errors=0.33),
            evals([0.6] * 6, rewards__accuracies=0.51, rewards__confident_errors=0.4)),
    Written("reward-near-chance", "warning", of({"eval_accuracy": 0.57}, 10),
            of({"eval_accuracy": 0.62}, 10)),
    Written("reward-near-chance", "sick", of({"eval_accuracy": 0.5}, 10),
            of({"eval_accuracy": 0.5}, 9)),
    Written("length-preference", "warning",
            evals([0.6] * 6, rewards__length_correlation=-0.8),
            evals([0.6] * 6, rewards__length_correlation=0.6)),
    Written("kl-blow-up", "warning", of(ROLLED, objective__kl=15.0), of(ROLLED, objective__kl=9.0)),
    Written("kl-blow-up", "sick", of(ROLLED, objective__kl=40.0),
            of(ROLLED, objective__kl=4.5, length=2)),
    Written("entropy-collapse", "warning", of(ROLLED, objective__entropy=[60, 50, 30, 13, 12, 11]),
            of(ROLLED, objective__entropy=[60, 50, 30, 20, 19, 18])),
    Written("entropy-collapse", "sick", of(ROLLED, objective__entropy=[60, 50, 30, 5, 5, 5]),
            of(ROLLED, objective__entropy=[60, 50, 30, 10, 10, 10], length=[20, 18, 12, 8, 8, 8])),
    Written("repetition", "warning", of(ROLLED, repetition=[0.02, 0.1, 0.2, 0.3, 0.3, 0.3]),
            of(ROLLED, repetition=[0.25, 0.25, 0.26, 0.3, 0.3, 0.3])),
    Written("no-endings", "warning", of(ROLLED, eos_rate=[0.95, 0.9, 0.8, 0.65, 0.65, 0.65]),
            of(ROLLED, eos_rate=[0.95, 0.9, 0.8, 0.75, 0.75, 0.75])),
    Written("no-endings", "sick", of(ROLLED, eos_rate=0.1), of(ROLLED, eos_rate=0.55)),
    Written("length-drift", "note", of(ROLLED, length=[20, 24, 28, 31, 31, 31]),
            of(ROLLED, length=[20, 24, 28, 28, 28, 28])),
    Written("length-drift", "warning", of(ROLLED, length=[20, 15, 12, 9, 9, 9]),
            of(ROLLED, length=[20, 15, 14, 14, 14, 14])),
    Written("length-exploitation", "sick",
            of(ROLLED, length=[20, 24, 28, 31, 31, 31], objective__length_correlation=0.6),
            of(ROLLED, length=[20, 24, 28, 31, 31, 31], objective__length_correlation=0.4)),
    Written("length-exploitation", "sick",
            of(ROLLED, length=[20, 15, 12, 9, 9, 9], objective__length_correlation=-0.6),
            of(ROLLED, length=[20, 15, 12, 9, 9, 9], objective__length_correlation=0.6)),
    Written("reward-hacking", "sick", golds([1, 2, 3, 4], [1, 2, 1.5, 1]),
            golds([1, 2, 3, 4], [1, 2, 1.5, 1], se=0.5)),
    Written("value-useless", "warning", of(ROLLED, val__explained_variance=0.01),
            of(ROLLED, val__explained_variance=[0.1, 0.1, 0.1, 0.0, 0.0, 0.0])),
    Written("off-policy-drift", "warning", of(ROLLED, policy__clipfrac_avg=0.35),
            of(ROLLED, policy__clipfrac_avg=0.25)),
    Written("off-policy-drift", "warning", of(ROLLED, policy__approxkl_avg=0.2),
            of(ROLLED, policy__approxkl_avg=0.05)),
    Written("off-policy-drift", "sick", of(ROLLED, policy__clipfrac_avg=0.55),
            of(ROLLED, policy__clipfrac_avg=[0.9, 0.9, 0.9, 0.1, 0.1, 0.1])[3:]),
]  # fmt: skip


def found(rows: list[dict[str, float]], settings: Mapping[str, Any] = DPO) -> dict[str, str]:
    return {finding.name: finding.level for finding in diagnose(rows, settings)}


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: f"{case.name}-{case.level}")
def test_a_rule_sees_its_disease_and_not_what_comes_near(case: Written) -> None:
    assert found(case.sick, case.settings)[case.name] == case.level
    assert case.name not in found(case.near, case.settings)


def test_every_rule_is_tried_and_explains_itself() -> None:
    assert {case.name for case in WRITTEN} == RULES.keys()
    for name, rule in RULES.items():
        assert not rule.title.endswith("."), name
        assert rule.source, name
        assert rule.means.endswith("."), name
        assert not rule.remedy.endswith("."), name


def test_healthy_rows_and_an_empty_log_have_no_findings() -> None:
    assert found(of(FINE)) == found(of(ROLLED)) == found([]) == {}


def test_causes_of_learning_nothing_are_told_apart() -> None:
    """Each of these has a margin of 0 for ever; each has one name."""
    for case in WRITTEN[:6]:
        causes = set(found(case.sick)) & {c.name for c in WRITTEN[:6]}
        assert causes == {case.name}


def test_findings_are_told_once_and_again_where_they_are_worse() -> None:
    watch = Watch({})
    rates = [0.9, 0.9, 0.4, 0.4, 0.4, 0.4, 0.15, 0.15, 0.15, 0.4, 0.4, 0.4]
    told = [
        (finding.step, finding.level)
        for row in of(ROLLED, 12, eos_rate=rates)
        for finding in watch.see(row)
        if finding.name == "no-endings"
    ]
    assert told == [(4, "warning"), (9, "sick")]


def test_a_resumed_watch_does_not_tell_what_was_told() -> None:
    rows = of(ROLLED, eos_rate=0.4)
    first = diagnose(rows, {})
    watch = Watch({}, told=first)
    assert [f for row in rows for f in watch.see(row)] == []


def test_evidence_is_points_of_the_log() -> None:
    (finding,) = diagnose(golds([1, 2, 3, 4], [1, 2, 1.5, 1]), {})
    assert finding.step == 4
    assert [(p.metric, p.step, p.value) for p in finding.evidence] == [
        ("eval_objective/scores", 2, 2.0), ("eval_objective/scores", 4, 4.0),
        ("eval_objective/gold", 2, 2.0), ("eval_objective/gold", 4, 1.0),
    ]  # fmt: skip
    assert finding.words == (
        "the reward that is optimized rose from 2 to 4 while gold fell from 2 (step 2) to 1"
    )
    assert finding.page == "docs/findings.md#reward-hacking"
    assert Finding.from_json(finding.to_json()) == finding


def test_the_order_is_worst_first() -> None:
    note, sick = (Finding("length-drift", "note", 1, ""), Finding("no-endings", "sick", 5, ""))
    assert worst_first([note, sick]) == [sick, note]
    assert worst_level([note, sick]) == "sick"
    assert worst_level([]) is None


def test_progress_is_of_steps_or_of_epochs() -> None:
    by_steps, by_epochs = (
        Curves({"max_steps": 20}),
        Curves({"max_steps": -1, "num_train_epochs": 2}),
    )
    for curves in (by_steps, by_epochs):
        curves.add({"step": 5, "epoch": 0.5})
        assert curves.progress == 0.25
    assert Curves({}).progress == 0.0


def test_a_run_without_a_reference_has_no_log_ratios() -> None:
    """SimPO's rewards are no log-ratios: a fall of them is no displacement."""
    rows = of({k: v for k, v in FINE.items() if k != "reference_gap"}, rewards__chosen=-2.0)
    assert found(rows) == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 1.0},
        {"value_warmup_steps": 4},
        {"value_warmup_steps": 1, "logging_steps": 2},
    ],
)
def test_a_policy_that_warms_up_is_not_called_still(settings: dict[str, float]) -> None:
    """Its learning rate is far from its peak, or its values learn first."""
    still = of(ROLLED, objective__kl_k3=0.0, objective__kl=0.0, update__lost=0.9)
    assert found(still, settings) == {}
    assert "updates-lost" in found(still, {})
    assert "inactive-adapter" in found(of(ROLLED, objective__kl_k3=0.0), {})


@pytest.mark.parametrize("settings", [{"sync_ref_model": True}, {"round_reference": "last-round"}])
def test_a_reference_that_follows_is_near_by_right(settings: dict[str, Any]) -> None:
    assert found(of(FINE, reference_gap=0.1), {**DPO, **settings}) == {}


def test_a_loss_on_a_larger_scale_may_rise_by_more() -> None:
    """IPO at β 0.1 starts at 25."""
    rows = [{n: v * (36 if "loss" in n else 1) for n, v in row.items()}
            for row in evals([0.66, 0.61, 0.6, 0.6, 0.61, 0.62])]  # fmt: skip
    assert found(rows) == {}


def test_a_level_that_is_none_is_refused() -> None:
    row = Finding("no-endings", "note", 1, "").to_json() | {"level": "fatal"}
    with pytest.raises(ValueError, match="'fatal' is no level"):
        Finding.from_json(row)


def test_what_is_seen_now_is_not_what_was_seen_before() -> None:
    curves = Curves({})
    for row in of(ROLLED, eos_rate=[0.9, 0.4, 0.4, 0.4, 0.9, 0.9]):
        curves.add(row)
    assert [finding.name for finding in look(curves)] == []
