"""A run's events, told to transformers' callbacks in the order that they know.

`TrainerState` and `TrainerControl` are transformers' own; `args` is the trainer's config. A step
ends with on_step_end, then on_log, on_evaluate, on_epoch_end and on_save, where each is due.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState

from palate.errors import RecipeError
from palate.training.journal import metric
from palate.training.settings import StageSettings

# What a callback can ask for or listen to elsewhere, and what does it here.
FLAGS = {
    "should_epoch_stop": "set should_training_stop",
    "should_save": "set save_steps",
    "should_evaluate": "set eval_steps",
    "should_log": "set logging_steps",
}
SILENT = (
    "on_substep_end", "on_pre_optimizer_step", "on_optimizer_step", "on_prediction_step",
    "on_predict", "on_push_begin",
)  # fmt: skip


class Callbacks:
    """The callbacks of a trainer, and the state that they and its owner read.

    Args:
        given: instances or classes.
        settings: what callbacks get as `args`.
        told: keywords that every event carries: the model, the tokenizer.
    """

    def __init__(
        self, given: Sequence[Any], settings: StageSettings, told: Mapping[str, Any]
    ) -> None:
        self.settings, self._told = settings, dict(told)
        self.state = TrainerState(log_history=[])
        self.control = TrainerControl()
        self._callbacks: list[TrainerCallback] = []
        self._rows: list[Mapping[str, float]] = []
        self._per_epoch, self._begun = 1, -1
        for callback in given:
            self.add(callback)
        self._call("on_init_end")

    def add(self, callback: Any) -> None:
        """Take up a callback, an instance or a class.

        Raises:
            RecipeError: it is no callback, or waits for something that never happens here.
        """
        callback = callback() if isinstance(callback, type) else callback
        if not isinstance(callback, TrainerCallback):
            raise RecipeError(
                f"{callback!r} is not a transformers.TrainerCallback; derive it from that class"
            )
        name = type(callback).__name__
        if isinstance(callback, EarlyStoppingCallback):
            raise RecipeError(
                f"{name} reads settings that are not here; set early_stopping_patience and "
                "eval_steps in args"
            )
        for event in SILENT:
            if getattr(type(callback), event) is not getattr(TrainerCallback, event):
                raise RecipeError(f"{name}: {event} never happens here; use on_step_end")
        self._callbacks.append(callback)

    # -- a run -----------------------------------------------------------------------------------

    def begin(self, *, num_rows: int, step: int, history: Sequence[Mapping[str, float]]) -> None:
        """A run starts, from `step` where it is resumed."""
        self._per_epoch = -(-num_rows // self.settings.rows_per_step)
        steps = self.settings.num_steps(num_rows)
        self.state = TrainerState(
            log_history=[],
            max_steps=steps,
            num_train_epochs=-(-steps // self._per_epoch),
            logging_steps=self.settings.logging_steps,
            eval_steps=self.settings.eval_steps,
            save_steps=self.settings.save_steps,
            train_batch_size=self.settings.per_device_train_batch_size,
        )
        self.control = TrainerControl()
        self._rows, self._begun = [], -1
        self._stand_at(step)
        for row in history:
            self._weigh(row)
            self.state.log_history.append(self._dated(row))
        self._call("on_train_begin")
        self._begin_step()

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A row of the log; kept back until its step has ended."""
        if step == self.state.global_step:
            self._weigh(metrics)
            self._tell(metrics)
        else:
            self._rows.append(metrics)

    def on_step(self, step: int, num_steps: int) -> bool:
        """A step has ended; True asks the run to end with it."""
        self._begin_step()
        self._stand_at(step)
        self._call("on_step_end")
        rows, self._rows = self._rows, []
        for row in rows:
            self._weigh(row)
            self._tell(row)
        last = step == num_steps or self.control.should_training_stop
        if step % self._per_epoch == 0 or last:
            self._call("on_epoch_end")
        save_steps = self.settings.save_steps
        if not (save_steps and step % save_steps == 0):
            self._begin_step()
        return bool(self.control.should_training_stop)

    def on_save(self, step: int) -> None:
        """A checkpoint is on disk."""
        self._call("on_save")
        self._begin_step()

    def end(self, history: Sequence[Mapping[str, float]], summary: Mapping[str, float]) -> None:
        """The run is over; `history` is its whole log."""
        self.state.log_history = [self._dated(row) for row in history]
        self._tell({**summary, "step": self.state.global_step})
        self._call("on_train_end")

    def evaluated(self, metrics: Mapping[str, float]) -> None:
        """An evaluation that was asked for by itself; it is no candidate for the best."""
        self._tell({**metrics, "step": self.state.global_step}, evaluation=True)

    # -- pieces ----------------------------------------------------------------------------------

    def _begin_step(self) -> None:
        step = self.state.global_step
        over = step >= self.state.max_steps or self.control.should_training_stop
        if over or self._begun == step + 1:
            return
        if self._begun == -1 or step % self._per_epoch == 0:
            self._call("on_epoch_begin")
        self._begun = step + 1
        self._call("on_step_begin")

    def _stand_at(self, step: int) -> None:
        self.state.global_step = step
        self.state.epoch = step / self._per_epoch

    def _weigh(self, row: Mapping[str, float]) -> None:
        """Remember the best evaluation of the run."""
        name, best = self.settings.metric_for_best_model, self.state.best_metric
        if name not in row:
            return
        value, up = row[name], metric(name).direction == "up"
        if best is None or (value > best if up else value < best):
            self.state.best_metric, self.state.best_global_step = value, int(row["step"])
            if self.settings.load_best_model_at_end:
                place = f"checkpoints/best/step-{int(row['step']):06d}"
                self.state.best_model_checkpoint = str(Path(self.settings.output_dir) / place)

    def _dated(self, row: Mapping[str, float]) -> dict[str, float]:
        return {"epoch": row["step"] / self._per_epoch, **row}

    def _tell(self, row: Mapping[str, float], *, evaluation: bool | None = None) -> None:
        logs = self._dated(row)
        self.state.log_history.append(logs)
        metrics = {key: value for key, value in logs.items() if key != "step"}
        self._call("on_log", logs=metrics)
        if evaluation or (evaluation is None and any(n.startswith("eval_") for n in metrics)):
            self._call("on_evaluate", metrics=metrics)

    def _call(self, event: str, **more: Any) -> None:
        for callback in self._callbacks:
            answer = getattr(callback, event)(
                self.settings, self.state, self.control, **self._told, **more
            )
            self.control = self.control if answer is None else answer
        for flag, instead in FLAGS.items():
            if getattr(self.control, flag):
                raise RecipeError(f"a callback set {flag}, which does nothing here; {instead}")
