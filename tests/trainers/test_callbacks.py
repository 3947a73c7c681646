"""What callbacks of transformers hear, and which are refused."""

from pathlib import Path
from typing import Any

import pytest
from tests.trainers.scripts import dpo, losses, pairs
from transformers import EarlyStoppingCallback, TrainerCallback

from palate import DPOConfig
from palate.errors import RecipeError


class Diary(TrainerCallback):  # type: ignore[misc]
    """Writes down what it is told, and asks to stop after a step."""

    def __init__(self, stop_at: int = 0) -> None:
        self.events: list[str] = []
        self.stop_at = stop_at

    def _note(self, event: str, state: Any) -> None:
        self.events.append(f"{event} {state.global_step}")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        assert isinstance(args, DPOConfig)
        assert kwargs["model"] is not None
        assert kwargs["processing_class"] is not None
        self._note("train_begin", state)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("epoch_begin", state)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("step_begin", state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("step_end", state)
        control.should_training_stop = state.global_step == self.stop_at

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        kind = next(k for k in ("loss", "eval_loss", "train_loss") if k in logs)
        assert state.log_history[-1][kind] == logs[kind]
        self._note(f"log {kind}", state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
        assert metrics["eval_loss"] >= state.best_metric
        self._note("evaluate", state)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        saved = Path(args.output_dir) / "checkpoints" / f"step-{state.global_step:06d}"
        assert (saved / "manifest.json").exists()
        self._note("save", state)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("epoch_end", state)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._note("train_end", state)


def test_callbacks_hear_of_everything_in_order(tmp_path: Path) -> None:
    diary = Diary()
    trainer = dpo(
        tmp_path,
        config={"max_steps": 4, "logging_steps": 2, "eval_steps": 2, "save_steps": 2},
        callbacks=[diary],
        eval_dataset=pairs(3, seed=1),
    )
    trainer.train()
    epoch = ["step_begin {}", "step_end {}", "step_begin {}", "step_end {}", "log loss {}"]
    epoch += ["log eval_loss {}", "evaluate {}", "epoch_end {}", "save {}"]
    first = [line.format(n) for line, n in zip(epoch, (0, 1, 1, 2, 2, 2, 2, 2, 2), strict=True)]
    second = [line.format(n) for line, n in zip(epoch, (2, 3, 3, 4, 4, 4, 4, 4, 4), strict=True)]
    assert diary.events == [
        "train_begin 0", "epoch_begin 0", *first, "epoch_begin 2", *second, "log train_loss 4",
        "train_end 4",
    ]  # fmt: skip
    assert trainer.state.max_steps == 4
    assert trainer.state.epoch == trainer.state.num_train_epochs == 2


def test_a_callback_can_stop_the_run(tmp_path: Path) -> None:
    diary = Diary(stop_at=3)
    trainer = dpo(tmp_path, callbacks=[diary])
    assert trainer.train().global_step == trainer.state.global_step == 3
    assert diary.events[-3:] == ["epoch_end 3", "log train_loss 3", "train_end 3"]
    assert len(losses(trainer)) == 3


def test_callbacks_that_could_not_work_are_refused(tmp_path: Path) -> None:
    class Deaf(TrainerCallback):  # type: ignore[misc]
        def on_substep_end(self, *_: Any, **__: Any) -> None: ...

    class Saver(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_save = True
            return control

    with pytest.raises(RecipeError, match="on_substep_end never happens here; use on_step_end"):
        dpo(tmp_path, callbacks=[Deaf])
    with pytest.raises(RecipeError, match="early_stopping_patience"):
        dpo(tmp_path, callbacks=[EarlyStoppingCallback()])
    with pytest.raises(RecipeError, match="not a transformers.TrainerCallback"):
        dpo(tmp_path, callbacks=[print])
    trainer = dpo(tmp_path)
    trainer.add_callback(Saver)
    with pytest.raises(RecipeError, match="should_save, which does nothing here; set save_steps"):
        trainer.train()
