"""What every loop has in common, and no arithmetic of any: order, updates, log, checkpoints.

A loop reads

    with Session(...) as session:
        session.rehearse(rows, loss)
        for step in session.steps():
            session.accumulate(rows, learn)    # learn: a micro-batch → session.backward(loss)
            session.update()

and the session owns resume, learning rate, optimizer, signals, evaluation, the best checkpoint and
early stopping.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import Tensor

from palate.data.trees import Tree
from palate.errors import CheckpointError, GateError, Interrupted, NumericalError, RecipeError
from palate.models.roles import Roles
from palate.training.best import Admits, Best, admit_all
from palate.training.checkpoint import keep_checkpoint, latest_checkpoint
from palate.training.checks import check_gradients
from palate.training.diagnosis import Diagnosis
from palate.training.heartbeat import run_progress
from palate.training.journal import Journal
from palate.training.lost_updates import watch_update
from palate.training.microbatches import Microbatches
from palate.training.progress import in_words
from palate.training.rehearsal import Loss, longest_microbatch, rehearse
from palate.training.resume import Carried, Standing
from palate.training.run import Result, Run
from palate.training.schedule import learning_rate
from palate.training.seeding import rows_of_step
from palate.training.settings import StageSettings
from palate.training.signals import Signals
from palate.training.stage_cautions import cautions, without_adapter
from palate.training.stop_on import REASON
from palate.training.window import Window

log = logging.getLogger("palate")


@dataclass(frozen=True)
class Step:
    """One optimizer step (one rollout, in PPO): its number from 1 and the rows it works on."""

    number: int
    rows: tuple[int, ...]
    first: bool


class Session:
    """See the module's first lines."""

    def __init__(
        self,
        stage: str,
        roles: Roles,
        trained: tuple[str, ...],
        settings: StageSettings,
        *,
        num_rows: int,
        run: Run,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
        moving: Mapping[str, Tensor] | None = None,
        admits: Admits = admit_all,
    ) -> None:
        if settings.eval_steps and evaluate is None:
            raise RecipeError(
                f"eval_steps is {settings.eval_steps}, but there are no held-out rows to evaluate "
                "on; give evaluation data (--eval-data, --eval-fraction), or set eval_steps to 0"
            )
        bare = roles[trained[0]].adapter is None
        for sentence in [*cautions(settings), *(without_adapter(settings) if bare else [])]:
            log.warning("%s: %s", stage, sentence)
        self.stage, self.roles, self.trained, self.settings = stage, roles, trained, settings
        self.num_rows, self.num_steps = num_rows, settings.num_steps(num_rows)
        self.folder, self.resume, self.listeners = run.folder, run.resume, run.listeners
        self.journal = Journal(run.folder.metrics if run.folder else None)
        self._diagnosis = Diagnosis(stage, settings, run.folder.findings if run.folder else None)
        self.standing = Standing()
        self._evaluate, self._sample, self._saved = evaluate, run.sample, run.saved
        self._window = Window()
        self._best = Best(stage, roles, trained, settings, self.standing, run.folder, admits)
        self._parameters = {
            f"{name}/{key}": p for name in trained for key, p in roles.parameters(name).items()
        }
        self._optimizer = torch.optim.AdamW(
            list(self._parameters.values()),
            lr=settings.learning_rate,
            betas=(settings.adam_beta1, settings.adam_beta2),
            eps=settings.adam_epsilon,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._micro = Microbatches(
            stage, roles, settings, self._optimizer, standing=self.standing, window=self._window
        )
        self.microbatches, self.accumulate = self._micro.of, self._micro.accumulate
        self._carried = Carried(
            stage=stage, settings=settings, identity=dict(run.identity), roles=roles,
            trained=trained, moving=moving or {}, parameters=self._parameters,
            optimizer=self._optimizer, standing=self.standing, window=self._window,
            journal=self.journal, samples=run.folder.samples if run.folder else None,
        )  # fmt: skip
        self._current: Step | None = None
        self._signals = Signals(run.folder.stop if run.folder else None)
        # Roles whose gradients no update has looked at yet.
        self._unchecked = set() if run.resume else set(trained)
        self._started = 0.0
        self._elsewhere = 0.0
        torch.manual_seed(settings.seed)

    # -- the frame of a run ----------------------------------------------------------------------

    def __enter__(self) -> "Session":
        if self.resume:
            self._restore()
        self._signals.listen()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._signals.leave()
        if isinstance(error, GateError):
            self._diagnosis.refused(error, self.standing.step + 1, self._window.means())
        self._optimizer.zero_grad(set_to_none=True)
        # A loop that raised has left its step, but not the step's dropout.
        self.roles.model.eval()

    def steps(self, *, dropout: bool = True) -> Iterator[Step]:
        """Steps of the run, from where it stands; what is due after a step happens in between."""
        mode = self.roles.training if dropout else self.roles.scoring
        done = self.standing.step
        with run_progress(self.stage, self.num_steps, done=done, folder=self.folder) as advance:
            while self.standing.step < self.num_steps and not self.standing.stopped:
                number = self.standing.step + 1
                rows = self._rows_of(number)
                self._current = Step(number, rows, first=number == 1)
                for group in self._optimizer.param_groups:
                    group["lr"] = learning_rate(self.settings, number, self.num_steps)
                with mode():
                    yield self._current
                self.standing.step = number
                self.standing.examples += len(rows)
                advance(1, in_words(self.journal.last()))
                self._after_step(number)
        self._finish()

    def _rows_of(self, number: int) -> tuple[int, ...]:
        settings = self.settings
        return rows_of_step(
            number, num_rows=self.num_rows, size=settings.rows_per_step, seed=settings.seed
        )

    # -- what a loop calls -----------------------------------------------------------------------

    def rehearse(self, trees: Sequence[Tree], loss: Loss, *, sampled: bool = False) -> None:
        """Compute the longest micro-batch that is still to come, unless the next step has it.

        Args:
            trees: all rows of the run.
            loss: forest, plan and trees → a number whose gradient needs what the loop's needs.
            sampled: responses are stand-ins for what is still to be sampled, so that the next
                step may be shorter than they say.

        Raises:
            RecipeError: memory does not suffice.
        """
        before = time.perf_counter()
        numbers = range(self.standing.step + 1, self.num_steps + 1)
        while True:
            steps = ([trees[i] for i in self._rows_of(number)] for number in numbers)
            longest = longest_microbatch(steps, max_tokens=self.max_tokens)
            if not longest.trees or (longest.step == 0 and not sampled):
                break
            reason = rehearse(self.roles, self._optimizer, longest.trees, loss)
            if reason is None:
                break
            self._micro.shrink([longest.trees], reason)
        self._elsewhere += time.perf_counter() - before

    @property
    def max_tokens(self) -> int:
        """Tokens of a micro-batch at most."""
        return self._micro.max_tokens

    def backward(self, loss: Tensor, *, tokens: int) -> None:
        """Add a micro-batch's gradient; `loss` is its share of the whole step's mean."""
        if not bool(torch.isfinite(loss)):
            raise NumericalError(self._trouble(f"loss {float(loss.detach())}"))
        torch.autograd.backward(loss)
        self.standing.tokens += tokens

    def update(self, *, of: tuple[str, ...] | None = None) -> None:
        """Clip and step.

        Args:
            of: the trained roles that the losses were of; None: all of them.

        Raises:
            GateError: a role that learns for the first time got no gradient.
            NumericalError: the gradient is not finite; nothing was updated.
        """
        learning = of or self.trained
        if self._unchecked.intersection(learning):
            check_gradients(self.roles, learning)
            self._unchecked.difference_update(learning)
        limit = self.settings.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), limit)
        if not bool(torch.isfinite(norm)):
            raise NumericalError(self._trouble(f"gradient norm {float(norm)}"))
        due = (self.standing.step + 1) % self.settings.logging_steps == 0
        settle = watch_update(self._parameters.values()) if due else None
        self._optimizer.step()
        if settle is not None:
            self.record("update/lost", *settle())
        self._optimizer.zero_grad(set_to_none=True)
        self.record("grad_norm", norm)

    def record(self, name: str, total: Tensor | float, count: float = 1.0) -> None:
        """Add a sum over `count` things to the window that the next row of the log averages."""
        self._window.add(name, total, count)

    def stop(self, reason: str, why: str) -> None:
        """End the run after this step as if it were over: logged, evaluated, saved.

        Args:
            reason: one word for programs, which the result carries.
            why: the same in words.
        """
        if self.standing.step < self.num_steps and not self.standing.stopped:
            log.warning("%s: stopped early (%s): %s", self.stage, reason, why)
            self.standing.stopped, self.standing.stop_reason = True, reason

    def _end_for(self, reason: str, why: str) -> None:
        """End for a finding; one of the last row ends nothing any more, and is the reason too."""
        self.stop(reason, why)
        self.standing.stop_reason = self.standing.stop_reason or reason

    def _trouble(self, what: str) -> str:
        rows = self._current.rows if self._current else ()
        return (
            f"{self.stage}, step {self.standing.step + 1}: {what} is not finite; stopped before "
            f"the update. Rows of the step: {list(rows)}. Lower the learning rate or look there"
        )

    # -- between steps ---------------------------------------------------------------------------

    def _after_step(self, number: int) -> None:
        settings = self.settings
        if number % settings.logging_steps == 0 or number == self.num_steps:
            self._log(number)
        if settings.eval_steps and number % settings.eval_steps == 0:
            self._run_evaluation(number)
        if settings.sample_steps and self._sample and number % settings.sample_steps == 0:
            self._sample(number)
        for listener in self.listeners:
            if listener.on_step(number, self.num_steps):
                self.standing.stopped = True
                self.standing.stop_reason = self.standing.stop_reason or "listener"
        received = self._signals.received
        due = settings.save_steps and number % settings.save_steps == 0
        saved = bool(self.folder and (due or received)) and self._save(number)
        if received:
            where = "; nothing was saved"
            if self.folder and saved:
                where = f"; saved, continue with --resume ({self.folder.path})"
            stop = Interrupted(f"{self.stage}: interrupted after step {number}{where}")
            stop.exit_code = 128 + received
            raise stop

    def _finish(self) -> None:
        number = self.standing.step
        settings = self.settings
        if self._window:
            self._log(number)
        if number and self.standing.evaluated != number:
            self._run_evaluation(number)
        if self._sample and (not settings.sample_steps or number % settings.sample_steps):
            self._sample(number)
        ended = self.standing.stopped and self.standing.stop_reason.startswith(REASON)
        saving = number % settings.save_steps if settings.save_steps else ended
        if self.folder and saving:
            self._save(number)
        self._best.settle()

    def _log(self, number: int) -> None:
        per_epoch = -(-self.num_rows // self.settings.rows_per_step)
        metrics = self._window.means() | {
            "learning_rate": learning_rate(self.settings, number, self.num_steps),
            "epoch": number / per_epoch,
            "num_tokens": self.standing.tokens,
        }
        self._tell(number, metrics)

    def _tell(self, number: int, metrics: Mapping[str, float]) -> None:
        row = self.journal.log(number, metrics)
        self._diagnosis.see(row, self._end_for)
        for listener in self.listeners:
            listener.on_log(number, row)

    def _run_evaluation(self, number: int) -> None:
        if self._evaluate is None:
            return
        before = time.perf_counter()
        with torch.no_grad():
            metrics = dict(self._evaluate())
        self._elsewhere += time.perf_counter() - before
        self._tell(number, metrics)
        self.standing.evaluated = number
        if self._best.consider(number, metrics):
            settings = self.settings
            why = f"no better {settings.metric_for_best_model} in {self.standing.stale} evaluations"
            self.stop("early_stopping", why)

    # -- checkpoints -----------------------------------------------------------------------------

    def _save(self, number: int) -> bool:
        assert self.folder is not None
        kept = keep_checkpoint(
            self.folder.checkpoints,
            self._carried.checkpoint(),
            keep=self.settings.save_total_limit,
        )
        if kept and self._saved:
            self._saved(number)
        return kept

    def _restore(self) -> None:
        if self.folder is None:
            raise CheckpointError("a run without a folder cannot be resumed")
        saved, skipped = latest_checkpoint(self.folder.checkpoints)
        for sentence in skipped:
            log.warning("%s", sentence)
        self._carried.take_up(saved)
        self._diagnosis.rewind(self.journal.history)
        self._best.take_up()

    # -- the end ---------------------------------------------------------------------------------

    def result(self) -> Result:
        """Figures of the run, once its steps are over."""
        return Result(
            steps=self.standing.step,
            examples=self.standing.examples,
            tokens=self.standing.tokens,
            train_seconds=time.perf_counter() - self._started - self._elsewhere,
            metrics=self.journal.last(),
            history=self.journal.history,
            stop_reason=self.standing.stop_reason,
        )
