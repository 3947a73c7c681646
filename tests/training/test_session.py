"""What every loop shares, on all four stages: gradients, resume, signals, evaluation, refusals."""

import errno
import json
import logging
import math
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny
from tests.training.runs import (
    STAGES,
    TRAINED,
    At,
    Stop,
    in_folder,
    kill,
    rows_of,
    settings_of,
    start,
    train,
)
from torch import Tensor

from palate.data.trees import Tree
from palate.errors import CheckpointError, Interrupted, NumericalError, RecipeError
from palate.models.load import weights_hash
from palate.models.roles import Roles
from palate.models.scoring import token_logprobs_of
from palate.training.checkpoint import latest_checkpoint
from palate.training.dpo import train_dpo
from palate.training.folder import RunFolder
from palate.training.heartbeat import read_heartbeat
from palate.training.journal import metric, read_metrics
from palate.training.run import Run
from palate.training.samples import FixedSamples
from palate.training.schedule import learning_rate
from palate.training.session import Session
from palate.training.settings import DPOSettings, SFTSettings, StageSettings
from palate.training.sft import train_sft


def _weights(stage: str, roles: Roles) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in roles.state(TRAINED[stage]).items()}


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


# -- gradients ----------------------------------------------------------------------------------


def _first_gradient(stage: str, settings: StageSettings, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """All gradients of the first update, end to end."""
    found: list[Tensor] = []

    def update(self: Session) -> None:
        found.extend(p.grad.flatten() for p in self._parameters.values() if p.grad is not None)
        raise Stop

    monkeypatch.setattr(Session, "update", update)
    roles = start(stage)
    for name in TRAINED[stage]:
        tiny.nudge(roles, name, by=0.05)
    roles.equal_at_start = False
    with pytest.raises(Stop):
        train(stage, roles, settings, evaluate=False)
    return torch.cat(found)


@pytest.mark.parametrize("stage", STAGES)
def test_micro_batches_never_change_the_gradient(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gradient(max_tokens: int, *, device_batch: int = 8, accumulate: int = 1) -> Tensor:
        settings = settings_of(
            stage, eval_steps=0, max_tokens_per_microbatch=max_tokens,
            per_device_train_batch_size=device_batch, gradient_accumulation_steps=accumulate,
        )  # fmt: skip
        return _first_gradient(stage, settings, monkeypatch)

    whole = gradient(10_000)
    assert float(whole.norm()) > 1e-3
    for device_batch, accumulate in ((4, 2), (1, 8)):
        assert torch.equal(
            gradient(10_000, device_batch=device_batch, accumulate=accumulate), whole
        )
    # One row at a time, and two ragged splits.
    for max_tokens in (1, 37, 60):
        split = gradient(max_tokens)
        assert float((split - whole).norm() / whole.norm()) < 1e-6


# -- stop and resume ----------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_stopped_and_resumed_equals_a_straight_run_to_the_last_bit(
    stage: str, tmp_path: Path
) -> None:
    settings = settings_of(stage, save_steps=2, max_steps=5, per_device_train_batch_size=4)
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    roles = start(stage, dropout=0.05)
    in_folder(stage, straight, settings, roles)

    terminate = At(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as caught:
        in_folder(stage, broken, settings, start(stage, dropout=0.05), listeners=[terminate])
    assert caught.value.exit_code == 143
    # Other initial weights: all that counts must come from the checkpoint.
    second = start(stage, seed=5, dropout=0.05)
    with pytest.raises(Stop):
        in_folder(stage, broken, settings, second, resume=True, listeners=[At(3, kill)])
    third = start(stage, seed=6, dropout=0.05)
    result = in_folder(stage, broken, settings, third, resume=True)

    assert result.steps == 5
    assert broken.metrics.read_bytes() == straight.metrics.read_bytes()
    assert _same(_weights(stage, third), _weights(stage, roles))
    one, two = (latest_checkpoint(folder.checkpoints)[0] for folder in (straight, broken))
    assert one.step == two.step == 5
    assert _same(one.tensors, two.tensors)
    assert any(key.startswith("optimizer/") for key in one.tensors)
    assert one.state == two.state
    assert weights_hash(third.model) == weights_hash(tiny.llama())
    if stage == "reward":
        assert third["reward"].scale == roles["reward"].scale


def test_the_dropout_of_the_runs_above_matters() -> None:
    settings = settings_of("sft")
    weights = []
    for dropout in (0.0, 0.05):
        roles = start("sft", dropout=dropout)
        train("sft", roles, settings)
        weights.append(_weights("sft", roles))
    assert not _same(*weights)


def test_a_kill_after_the_last_step_leaves_no_row_twice(tmp_path: Path) -> None:
    settings = settings_of("sft", save_steps=2, eval_steps=0)
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    in_folder("sft", straight, settings, start("sft"))
    with pytest.raises(Stop):
        in_folder("sft", broken, settings, start("sft"), sample=lambda _step: kill())
    assert broken.metrics.read_bytes() == straight.metrics.read_bytes()
    for _ in range(2):
        in_folder("sft", broken, settings, start("sft"), resume=True)
        assert broken.metrics.read_bytes() == straight.metrics.read_bytes()


def test_a_torn_log_is_mended_on_resume(tmp_path: Path) -> None:
    settings = settings_of("sft", save_steps=2)
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    in_folder("sft", straight, settings, start("sft"))
    with pytest.raises(Stop):
        in_folder("sft", broken, settings, start("sft"), listeners=[At(3, kill)])
    with broken.metrics.open("a") as file:
        file.write('{"step": 3, "lo')
    in_folder("sft", broken, settings, start("sft"), resume=True)
    assert broken.metrics.read_bytes() == straight.metrics.read_bytes()


@pytest.mark.parametrize(
    ("stage", "last"),
    [
        pytest.param("sft", At(3, kill), id="between checkpoints"),
        pytest.param("ppo", At(3, kill), id="beside a reference"),
        pytest.param("sft", None, id="after the last checkpoint of a step that is sampled"),
    ],
)
def test_samples_of_a_resumed_run_are_those_of_a_straight_one(
    stage: str, last: At | None, tmp_path: Path
) -> None:
    settings = settings_of(stage, save_steps=2, sample_steps=1 if last else 0, eval_steps=0)

    def run(folder: RunFolder, *, then: Callable[[], None] = lambda: None, **kwargs: Any) -> None:
        roles = start(stage)
        fixed = FixedSamples(
            folder.samples, roles, [Tree((5, 6)), Tree((7,))],
            decode=lambda ids: " ".join(map(str, ids)), end_tokens=(2,), max_new_tokens=4,
        )  # fmt: skip

        def sample(step: int) -> None:
            fixed(step)
            then()

        in_folder(stage, folder, settings, roles, sample=sample, **kwargs)

    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    run(straight)
    with pytest.raises(Stop):
        run(broken, listeners=[last] if last else [], then=(lambda: None) if last else kill)
    assert broken.samples.stat().st_size > 0
    with broken.samples.open("a", encoding="utf-8") as file:
        file.write('{"step": 3, "prom')
    run(broken, resume=True)
    assert broken.samples.read_bytes() == straight.samples.read_bytes()


@pytest.mark.parametrize("stage", STAGES)
def test_one_seed_gives_the_same_bytes_and_another_does_not(stage: str, tmp_path: Path) -> None:
    logs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        folder = RunFolder(tmp_path / name)
        settings = settings_of(stage, seed=seed, max_steps=2)
        in_folder(stage, folder, settings, start(stage, dropout=0.05))
        logs.append(folder.metrics.read_bytes())
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


# -- refusals -----------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path: Path) -> RunFolder:
    """An SFT run that was stopped after two steps."""
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Stop):
        in_folder(
            "sft", folder, settings_of("sft", save_steps=1), start("sft"),
            listeners=[At(3, kill)], identity={"data": "abc"},
        )  # fmt: skip
    return folder


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 2e-2}, "learning_rate was 0.01, now 0.02"),
        ({"seed": 3}, "seed was 0, now 3"),
        ({"max_steps": 6}, "max_steps was 4, now 6"),
    ],
)
def test_another_setting_is_refused_by_name(
    stopped: RunFolder, changes: dict[str, Any], words: str
) -> None:
    settings = settings_of("sft", save_steps=1, **changes)
    with pytest.raises(CheckpointError, match=f"cannot resume with other settings: {words}"):
        in_folder("sft", stopped, settings, start("sft"), resume=True, identity={"data": "abc"})


def test_where_and_how_often_to_save_may_change(stopped: RunFolder) -> None:
    settings = settings_of("sft", save_steps=3, save_total_limit=5, output_dir="elsewhere")
    result = in_folder(
        "sft", stopped, settings, start("sft"), resume=True, identity={"data": "abc"}
    )
    assert result.steps == 4


def test_other_data_another_stage_and_other_adapters_are_refused(stopped: RunFolder) -> None:
    settings = settings_of("sft", save_steps=1)
    with pytest.raises(CheckpointError, match="the data is not what the run started with"):
        in_folder("sft", stopped, settings, start("sft"), resume=True, identity={"data": "x"})
    with pytest.raises(CheckpointError, match="the checkpoint is of a sft run"):
        in_folder("dpo", stopped, settings_of("dpo"), start("dpo"), resume=True)
    wider = Roles(tiny.llama(), tiny.tokenizer())
    wider.add_policy(tiny.lora(r=8))
    with pytest.raises(ValueError, match="in the checkpoint"):
        in_folder("sft", stopped, settings, wider, resume=True, identity={"data": "abc"})


def test_nothing_to_resume_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint to resume from"):
        in_folder("sft", RunFolder(tmp_path / "new"), settings_of("sft"), start("sft"), resume=True)
    with pytest.raises(CheckpointError, match="without a folder"):
        train("sft", start("sft"), settings_of("sft"), run=Run(resume=True))


# -- evaluation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        ("sft", {"eval_loss", "eval_mean_token_nll"}),
        ("reward", {"eval_loss", "eval_accuracy", "eval_rewards/margins"}),
        ("dpo", {"eval_loss", "eval_rewards/accuracies", "eval_logps/chosen"}),
        ("ppo", {"eval_objective/scores", "eval_objective/kl", "eval_eos_rate", "eval_length"}),
    ],
)
def test_evaluation_is_logged_when_due_and_at_the_end(stage: str, names: set[str]) -> None:
    result = train(stage, start(stage), settings_of(stage, max_steps=3))
    due = [row for row in result.history if names <= row.keys()]
    assert [row["step"] for row in due] == [2, 3]
    assert names <= result.metrics.keys()
    never = train(stage, start(stage), settings_of(stage, max_steps=1), evaluate=False)
    assert not any(name.startswith("eval_") for name in never.metrics)


def test_evaluation_does_not_move_training() -> None:
    weights = []
    for every in (1, 0):
        roles = start("ppo", dropout=0.05)
        train("ppo", roles, settings_of("ppo", max_steps=2, eval_steps=every))
        weights.append(_weights("ppo", roles))
    assert _same(*weights)


def _evaluated(
    roles: Roles, settings: StageSettings, run: Run, losses: Sequence[float]
) -> tuple[int, list[dict[str, Tensor]]]:
    """A loop whose evaluations are given; returns its steps and the weights after each."""
    rows, given, weights = rows_of("sft"), iter(losses), list[dict[str, Tensor]]()
    with Session(
        "sft", roles, ("policy",), settings, num_rows=10, run=run,
        evaluate=lambda: {"eval_loss": next(given)},
    ) as session:  # fmt: skip
        for step in session.steps():
            for forest, plan, _ in session.microbatches([rows[i] for i in step.rows]):
                loss = -token_logprobs_of(roles, "policy", forest, plan=plan).mean()
                session.backward(loss, tokens=len(forest.tokens))
            session.update()
            weights.append(_weights("sft", roles))
    return session.result().steps, weights


def test_training_stops_early_and_ends_with_the_best_weights(tmp_path: Path) -> None:
    settings = settings_of(
        "sft", early_stopping_patience=2, load_best_model_at_end=True, save_steps=1, eval_steps=1,
        max_steps=8,
    )  # fmt: skip
    roles, folder = start("sft"), RunFolder(tmp_path / "run")
    with folder.open():
        steps, weights = _evaluated(roles, settings, Run(folder=folder), [3.0, 1.0, 2.0, 1.0])
    assert steps == 4  # an equal loss is no better one
    assert _same(_weights("sft", roles), weights[1])
    assert not _same(weights[1], weights[3])

    again = start("sft", seed=9)
    with folder.open(resume=True):
        steps, _ = _evaluated(again, settings, Run(folder=folder, resume=True), [])
    assert steps == 4
    assert _same(_weights("sft", again), weights[1])


def test_patience_starts_again_with_each_new_best() -> None:
    settings = settings_of("sft", early_stopping_patience=2, eval_steps=1, max_steps=8)
    steps, _ = _evaluated(start("sft"), settings, Run(), [5.0, 6.0, 4.0, 4.5, 3.0, 3.5, 3.6, 1.0])
    assert steps == 7


def test_the_best_may_be_the_highest() -> None:
    roles = start("ppo")
    settings = settings_of(
        "ppo", eval_steps=1, load_best_model_at_end=True, max_steps=3,
        metric_for_best_model="eval_objective/rlhf_reward",
    )  # fmt: skip
    seen: list[dict[str, Tensor]] = []
    keep = [At(step, lambda: seen.append(_weights("ppo", roles))) for step in (1, 2, 3)]
    result = train("ppo", roles, settings, run=Run(listeners=keep))
    values = [r["eval_objective/rlhf_reward"] for r in result.history if "eval_length" in r]
    assert _same(_weights("ppo", roles), seen[values.index(max(values))])


@pytest.mark.parametrize("stage", STAGES)
def test_best_metrics_are_what_the_evaluation_gives_and_can_be_better_in(stage: str) -> None:
    settings = settings_of(stage, eval_steps=1, max_steps=1)
    given = {name for row in train(stage, start(stage), settings).history for name in row}
    judged = {n for n in given if n.startswith("eval_") and metric(n).direction != "watch"}
    # A gold reward is there where one is named.
    assert judged == set(settings.best_metrics) - {"eval_objective/gold"}


def test_a_best_metric_that_no_evaluation_will_give_is_refused_before_training() -> None:
    settings = settings_of("ppo", metric_for_best_model="eval_objective/gold", logging_steps=1)
    with pytest.raises(RecipeError, match="eval_objective/gold', but there is no gold reward"):
        train("ppo", start("ppo"), settings)
    dpo = settings_of("dpo", loss_type="kto", metric_for_best_model="eval_rewards/margins")
    assert isinstance(dpo, DPOSettings)
    singles = [replace(tree, desirable=True) for tree in tiny.trees(4, responses=1)]
    with pytest.raises(RecipeError, match="eval_rewards/margins', which only pairs have"):
        train_dpo(start("dpo"), singles, dpo, eval_pairs=singles)


def test_a_kill_inside_the_first_best_save_does_not_hinder_resuming(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    settings = settings_of("sft", save_steps=1, load_best_model_at_end=True)
    with pytest.raises(Stop):
        in_folder("sft", folder, settings, start("sft"), listeners=[At(2, kill)])
    for path in (folder.checkpoints / "best").glob("step-*"):
        path.rename(path.with_name(f"{path.name}.tmp-1"))
    assert in_folder("sft", folder, settings, start("sft"), resume=True).steps == 4


# -- signals, listeners, trouble ------------------------------------------------------------------


def test_an_interrupt_saves_and_exits_with_130(tmp_path: Path) -> None:
    folder, settings = RunFolder(tmp_path / "run"), settings_of("dpo")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="interrupted after step 2; saved, continue") as caught:
        in_folder(
            "dpo", folder, settings, start("dpo"),
            listeners=[At(2, lambda: os.kill(os.getpid(), signal.SIGINT))],
        )  # fmt: skip
    assert caught.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert latest_checkpoint(folder.checkpoints)[0].step == 2
    with pytest.raises(Interrupted, match="nothing was saved"):
        train(
            "dpo", start("dpo"), settings,
            run=Run(listeners=[At(1, lambda: os.kill(os.getpid(), signal.SIGINT))]),
        )  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_a_file_named_stop_saves_like_an_interrupt_and_the_run_goes_on_to_the_same_end(
    stage: str, tmp_path: Path
) -> None:
    settings = settings_of(stage, max_steps=4, per_device_train_batch_size=4)
    straight, asked = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "asked")
    in_folder(stage, straight, settings, start(stage))
    asked.path.mkdir()
    asked.stop.touch()  # left over from an earlier run: no request to this one
    with pytest.raises(Interrupted, match="interrupted after step 2; saved, continue") as caught:
        in_folder(stage, asked, settings, start(stage), listeners=[At(2, asked.stop.touch)])
    assert caught.value.exit_code == 130
    assert not asked.stop.exists()
    beat = read_heartbeat(asked.progress)
    assert beat is not None
    assert (beat.stage, beat.step, beat.num_steps, beat.state) == (stage, 2, 4, "stopped")
    in_folder(stage, asked, settings, start(stage), resume=True)
    assert asked.metrics.read_bytes() == straight.metrics.read_bytes()
    beat = read_heartbeat(asked.progress)
    assert beat is not None
    assert (beat.first_step, beat.step, beat.state) == (2, 4, "ending")


def test_a_second_interrupt_stops_at_once() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train("sft", start("sft"), settings_of("sft"), run=Run(listeners=[At(1, twice)]))


def test_a_listener_may_end_the_run() -> None:
    result = train(
        "sft", start("sft"), settings_of("sft"), run=Run(listeners=[At(3, lambda: True)])
    )
    assert result.steps == 3
    assert result.examples == 4 + 4 + 2  # ten rows: the epoch's third step has two
    assert result.history[-1]["step"] == 3


def test_the_steps_since_the_last_row_of_the_log_are_told_when_a_run_ends_early() -> None:
    """Three steps logged at every second one: the row of step 3 is that of a run of three."""
    settings = settings_of("sft", lr_scheduler_type="constant", warmup_steps=0)
    stop = Run(listeners=[At(3, lambda: True)])
    stopped = train("sft", start("sft"), settings, run=stop, evaluate=False)
    whole = train("sft", start("sft"), replace(settings, max_steps=3), evaluate=False)
    assert [row["step"] for row in stopped.history] == [2, 3]
    assert stopped.history == whole.history


def test_patience_between_rows_of_the_log_loses_no_step() -> None:
    settings = settings_of(
        "sft", early_stopping_patience=1, eval_steps=1, max_steps=8, logging_steps=5
    )
    done: list[int] = []
    with Session(
        "sft", start("sft"), ("policy",), settings, num_rows=10, run=Run(),
        evaluate=lambda: {"eval_loss": float(len(done))},
    ) as session:  # fmt: skip
        for step in session.steps():
            done.append(step.number)
            session.record("loss", float(step.number))
    rows = [row for row in session.journal.history if "loss" in row]
    assert [(row["step"], row["loss"]) for row in rows] == [(2, 1.5)]


@pytest.mark.parametrize("stage", STAGES)
def test_a_loss_that_is_not_finite_stops_before_the_update(stage: str) -> None:
    roles = start(stage, dropout=0.05)
    with torch.no_grad():
        roles.model.get_input_embeddings().weight[tiny.EOS] = float("nan")
    roles.equal_at_start = False
    before = _weights(stage, roles)
    with pytest.raises(NumericalError, match="not finite|is nan") as caught:
        train(stage, roles, settings_of(stage, eval_steps=0), evaluate=False)
    assert caught.value.exit_code == 3
    assert _same(_weights(stage, roles), before)
    assert all(p.grad is None for n in TRAINED[stage] for p in roles.parameters(n).values())
    assert not any(
        drop.training for layer in roles.adapters.layers for drop in layer.lora_dropout.values()
    )


def test_the_message_names_step_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of("sft")
    bad = Tree(rows[3].prompt, rows[3].responses, weight=float("inf"))
    rows[3] = bad
    with pytest.raises(NumericalError, match=r"sft, step \d: loss inf .*Rows of the step: \[.*3"):
        train("sft", start("sft"), settings_of("sft"), rows=rows, evaluate=False)


def test_a_gradient_that_is_not_finite_stops_before_the_update() -> None:
    roles = start("sft")
    before = _weights("sft", roles)
    parameter = next(iter(roles.parameters("policy").values()))
    parameter.register_hook(lambda g: g * float("nan"))  # type: ignore[no-untyped-call]
    with pytest.raises(NumericalError, match="gradient"):
        train("sft", roles, settings_of("sft"))
    assert _same(_weights("sft", roles), before)


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, settings = RunFolder(tmp_path / "run"), settings_of("sft", save_steps=1)

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fill = At(2, lambda: monkeypatch.setattr("palate.training.checkpoint._write", full))
    with caplog.at_level(logging.WARNING, logger="palate"):
        result = in_folder("sft", folder, settings, start("sft"), listeners=[fill])
    assert result.steps == 4
    assert "the checkpoint of step 2 could not be written (No space left" in caplog.text
    monkeypatch.undo()
    assert latest_checkpoint(folder.checkpoints)[0].step == 1
    assert not list(folder.checkpoints.glob("*.tmp-*"))


# -- order and schedule ---------------------------------------------------------------------------


def test_every_epoch_deals_every_row_once_in_another_order() -> None:
    roles = start("sft")
    settings = SFTSettings(per_device_train_batch_size=4, num_train_epochs=2)
    with Session("sft", roles, ("policy",), settings, num_rows=10, run=Run()) as session:
        assert session.num_steps == 6
        rows = [session._rows_of(number) for number in range(1, 7)]
    assert [len(r) for r in rows] == [4, 4, 2, 4, 4, 2]
    first, second = sum(rows[:3], ()), sum(rows[3:], ())
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_the_learning_rate_by_hand() -> None:
    def rates(**changes: Any) -> list[float]:
        settings = SFTSettings(learning_rate=1.0, **changes)
        return [learning_rate(settings, step, 4) for step in (1, 2, 3, 4)]

    assert rates(warmup_steps=0) == pytest.approx([1, 3 / 4, 2 / 4, 1 / 4])
    assert rates(warmup_steps=2) == pytest.approx([1 / 2, 1, 2 / 3, 1 / 3])
    assert rates(warmup_steps=0.5) == pytest.approx([1 / 2, 1, 2 / 3, 1 / 3])
    # A tenth of four steps is rounded up to one step, which is at the peak already.
    assert rates(warmup_steps=0.1) == rates(warmup_steps=1) == rates(warmup_steps=0)
    assert rates(warmup_steps=0, lr_scheduler_type="constant") == [1, 1, 1, 1]
    assert rates(warmup_steps=8) == pytest.approx([1 / 8, 2 / 8, 3 / 8, 4 / 8])
    cosine = [0.5 * (1 + math.cos(math.pi * k / 4)) for k in range(4)]
    assert rates(warmup_steps=0, lr_scheduler_type="cosine") == pytest.approx(cosine)


def test_a_step_is_adamw_with_clipping() -> None:
    """One update against torch's own arithmetic, written out."""
    roles = start("sft")
    name, parameter = next((k, p) for k, p in roles.parameters("policy").items() if "lora_B" in k)
    settings = SFTSettings(
        per_device_train_batch_size=10, max_steps=1, learning_rate=0.1, warmup_steps=0,
        max_grad_norm=0.5, weight_decay=0.0, use_peft=True,
    )  # fmt: skip
    seen: list[Tensor] = []
    parameter.register_hook(lambda g: seen.append(g.clone()))  # type: ignore[no-untyped-call]
    result = train("sft", roles, settings, evaluate=False)
    gradient, norm = seen[0], result.metrics["grad_norm"]
    assert norm > 0.5
    clipped = gradient * 0.5 / norm
    # Adam's first step is lr · g / (|g| + ε).
    expected = -0.1 * clipped / (clipped.abs() + 1e-8)
    torch.testing.assert_close(parameter.detach(), expected, rtol=1e-3, atol=1e-4)
    assert name in roles.parameters("policy")


def test_the_log_has_what_was_promised(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    result = in_folder("dpo", folder, settings_of("dpo"), start("dpo"))
    rows = read_metrics(folder.metrics)
    assert (
        rows
        == result.history
        == [json.loads(x) for x in folder.metrics.read_text().split("\n")[:-1]]
    )
    logged = [row for row in rows if "loss" in row]
    assert [row["step"] for row in logged] == [2, 4]
    for name in ("learning_rate", "grad_norm", "num_tokens", "epoch", "rewards/margins"):
        assert name in logged[0]
    assert logged[1]["epoch"] == pytest.approx(4 / 3)
    assert result.tokens == logged[1]["num_tokens"]
    assert result.train_seconds > 0


def test_evaluation_without_held_out_rows_is_refused() -> None:
    with pytest.raises(RecipeError, match="eval_steps is 2, but there are no held-out rows"):
        train_sft(start("sft"), rows_of("sft"), SFTSettings(eval_steps=2))
