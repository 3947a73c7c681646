"""What all trainers do in the same way: train, evaluate, save, tell.

The trainers differ in what they are made from; each fills in a `Course` and is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerState
from transformers.trainer_utils import TrainOutput

from palate.data.render import Renderer
from palate.data.trees import Tree
from palate.errors import RecipeError
from palate.experiments import passport
from palate.experiments.cost import Cost, Ledger
from palate.experiments.passport import UNKNOWN, RewardBill
from palate.experiments.work import Rows, Work
from palate.models.roles import Roles
from palate.trainers.arguments import strict
from palate.trainers.callbacks import Callbacks
from palate.trainers.inputs import Start
from palate.trainers.rows import Taken, tell_of
from palate.trainers.runs import may_replace, newest_step, rewind
from palate.training.folder import RunFolder
from palate.training.journal import read_metrics
from palate.training.run import Listener, Result, Run
from palate.training.settings import StageSettings
from palate.training.trackers import tracking


@dataclass(frozen=True)
class Course:
    """What one kind of training is.

    Attributes:
        stage: its name in the run folder.
        role: the role that is trained and saved.
        roles: the models.
        settings: its settings, true to the adapters that the roles have.
        renderer: text to tokens and back.
        grow: rows as people give them → trees, and what was told of the rows.
        learn: trees, held-out trees, run → the training itself.
        score: trees → metrics with `eval_` before their names.
        start: the model that was given.
        reward: the reward model that it is trained against.
        reward_hash: of everything that it is trained against.
    """

    stage: str
    role: str
    roles: Roles
    settings: StageSettings
    renderer: Renderer
    grow: Callable[[object, str], Taken]
    learn: Callable[[Sequence[Tree], Sequence[Tree], Run], Result]
    score: Callable[[Sequence[Tree]], dict[str, float]]
    start: Start
    reward: RewardBill | None = None
    reward_hash: str = ""


class Trainer:
    """The surface that people know from transformers and TRL."""

    def __init__(
        self,
        course: Course,
        *,
        train_dataset: object,
        eval_dataset: object,
        callbacks: Sequence[Any] | None,
    ) -> None:
        self._course = course
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        train = course.grow(train_dataset, "train_dataset")
        held_out = course.grow(eval_dataset, "eval_dataset")
        tell_of(train, held_out, source=train_dataset, held_source=eval_dataset)
        self._rows = Rows(train.trees, held_out.trees, train.num_dropped, held_out.num_dropped)
        self._identity: dict[str, str] = {}
        self._start: passport.Start | None = None
        self._bill: Cost | None = None
        told = {"model": self.model, "processing_class": self.processing_class}
        self._callbacks = Callbacks(callbacks or (), course.settings, told)

    @property
    def args(self) -> StageSettings:
        """The settings; what they say of adapters is so, whoever brought the adapter."""
        return self._course.settings

    @property
    def model(self) -> PreTrainedModel | PeftModel:
        """The model in training: the PEFT model where there are adapters, else the given one."""
        return self._course.roles.peft or self._course.roles.model

    @property
    def processing_class(self) -> PreTrainedTokenizerBase:
        """The tokenizer."""
        return self._course.roles.tokenizer

    @property
    def state(self) -> TrainerState:
        """`log_history`, `global_step`, `epoch`, `best_metric` … of the last run."""
        return self._callbacks.state

    def add_callback(self, callback: Any) -> None:
        """Add a `TrainerCallback`, an instance or a class."""
        self._callbacks.add(callback)

    @strict
    def train(self, resume_from_checkpoint: bool | str | Path | None = None) -> TrainOutput:
        """Train, into the run folder `args.output_dir`.

        Args:
            resume_from_checkpoint: None or False starts anew and replaces the run of this stage
                that is in the folder; True continues it from its newest checkpoint, a path from
                that checkpoint.

        Returns:
            `global_step`, `training_loss` (mean over the run's steps) and `metrics`.

        Raises:
            RecipeError: there is no train_dataset.
            UsageError: the folder holds the run of another stage.
            CheckpointError: there is nothing to resume, or it is of another run.
            Interrupted: a signal stopped the run; a checkpoint was saved.
        """
        if not self._rows.train:
            raise RecipeError("train() needs rows to train on; give the trainer a train_dataset")
        course, settings = self._course, self._course.settings
        folder, resume = RunFolder(settings.output_dir), bool(resume_from_checkpoint)
        overwrite = not resume and may_replace(
            folder, stage=course.stage, source=course.start.source
        )
        with (
            folder.open(resume=resume, overwrite=overwrite),
            tracking(settings, stage=course.stage, folder=folder) as trackers,
        ):
            if resume and not isinstance(resume_from_checkpoint, bool):
                rewind(folder, Path(str(resume_from_checkpoint)))
            if not (resume and self._identity):
                self._find_identity()
            run = self._begin(folder, trackers, resume=resume)
            ledger = Ledger(folder.path, resume=resume)
            try:
                with ledger.metered(course.roles) as cost:
                    result = course.learn(self._rows.train, self._rows.held_out, run)
            finally:
                # A policy that has made a step is not what its reference is.
                course.roles.equal_at_start &= self.state.global_step == 0
            self._bill = ledger.total()
            self._work().close(folder, result, cost=cost, bill=self._bill)
        loss = _mean_loss(result)
        metrics = {
            "train_runtime": result.train_seconds,
            "train_samples_per_second": result.examples / max(result.train_seconds, 1e-9),
            "train_steps_per_second": result.steps / max(result.train_seconds, 1e-9),
            "total_flos": cost.total_flops,
            "train_loss": loss,
        }
        self._callbacks.end(result.history, metrics)
        metrics["epoch"] = self.state.epoch
        return TrainOutput(result.steps, loss, metrics)

    @strict
    def evaluate(
        self, eval_dataset: object = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Metrics on held-out rows, before or after training.

        Args:
            eval_dataset: the rows; by default the trainer's own.
            metric_key_prefix: stands before the metrics' names.

        Raises:
            RecipeError: there are no rows.
        """
        trees = self._rows.held_out
        if eval_dataset is not None:
            trees = self._course.grow(eval_dataset, "eval_dataset").trees
        if not trees:
            raise RecipeError("evaluate() needs rows; give it, or the trainer, an eval_dataset")
        found = self._course.score(trees)
        metrics = {f"{metric_key_prefix}{k.removeprefix('eval')}": v for k, v in found.items()}
        self._callbacks.evaluated(metrics)
        return metrics | {"epoch": self.state.epoch}

    @strict
    def save_model(self, output_dir: str | Path | None = None) -> Path:
        """Write the trained model and its tokenizer as transformers and PEFT load them.

        Args:
            output_dir: where to; by default `args.output_dir` itself. (`train` has written the
                same to the folder `model` in it.)

        Returns:
            The folder.
        """
        folder = Path(self.args.output_dir if output_dir is None else output_dir)
        self._work().save(folder, cost=self._bill)
        return folder

    def _work(self) -> Work:
        course = self._course
        if self._start is None:
            self._start = self._find_start()
        return Work(
            course.stage, course.role, course.roles, course.settings, course.renderer, self._rows,
            self._start, course.reward, course.reward_hash,
        )  # fmt: skip

    def _find_start(self) -> passport.Start:
        given = self._course.start
        start = passport.start_of(given.loaded)
        return start if given.peft is None else replace(start, adapter=UNKNOWN)

    def _find_identity(self) -> None:
        """Hashes of what training starts from, as the model stands now."""
        self._start = self._find_start()
        self._identity = self._work().identity()

    def _begin(self, folder: RunFolder, trackers: Sequence[Listener], *, resume: bool) -> Run:
        """Write down what the run is, and wire the callbacks."""
        step = newest_step(folder) if resume else 0
        rows = read_metrics(folder.metrics) if resume and folder.metrics.exists() else []
        history = [row for row in rows if row["step"] <= step]
        run = self._work().begin(
            folder, identity=self._identity, resume=resume,
            listeners=(self._callbacks, *trackers), saved=self._callbacks.on_save,
        )  # fmt: skip
        self._callbacks.begin(num_rows=len(self._rows.train), step=step, history=history)
        return run


def _mean_loss(result: Result) -> float:
    """Mean of the logged losses, each weighted by the steps of its window."""
    total, before = 0.0, 0.0
    for row in result.history:
        if "loss" in row:
            total += row["loss"] * (row["step"] - before)
            before = row["step"]
    return total / before if before else 0.0
