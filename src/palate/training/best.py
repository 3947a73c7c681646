"""The best evaluation of a run: its weights, and how long ago it was."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from palate.models.roles import Roles
from palate.training.checkpoint import Checkpoint, keep_checkpoint, latest_checkpoint
from palate.training.folder import RunFolder
from palate.training.journal import metric
from palate.training.resume import Standing
from palate.training.settings import StageSettings

log = logging.getLogger("palate")

Admits = Callable[[Mapping[str, float]], bool]


def admit_all(_: Mapping[str, float]) -> bool:
    """Any evaluation may be the best."""
    return True


@dataclass
class Best:
    """Looks at each evaluation, keeps the weights of the best one, and knows when to give up.

    Attributes:
        stage: which kind of training it is.
        roles: the models, of which the `trained` roles are kept.
        trained: names of those roles.
        settings: name the metric, the patience, and whether weights are kept.
        standing: where the best value and its step are written.
        folder: of the run; None keeps the weights in memory alone.
        admits: whether an evaluation may be the best at all (PPO: its KL is within the budget).
    """

    stage: str
    roles: Roles
    trained: tuple[str, ...]
    settings: StageSettings
    standing: Standing
    folder: RunFolder | None
    admits: Admits
    _weights: dict[str, Tensor] = field(default_factory=dict)

    def consider(self, number: int, metrics: Mapping[str, float]) -> bool:
        """Take an evaluation in; True where patience is over."""
        settings, standing, name = self.settings, self.standing, self.settings.metric_for_best_model
        # A value may be missing: responses of three tokens have no repetition.
        value, best = metrics.get(name), standing.best_value
        up = metric(name).direction == "up"
        better = value is not None and (best is None or (value > best if up else value < best))
        if better and self.admits(metrics):
            standing.best_value, standing.best_step, standing.stale = value, number, 0
            if settings.load_best_model_at_end:
                self._keep(number)
            return False
        standing.stale += 1
        patience = settings.early_stopping_patience
        return bool(patience) and standing.stale >= patience

    def take_up(self) -> None:
        """Read the kept weights of a run that is resumed."""
        if self.settings.load_best_model_at_end and self.standing.best_step:
            assert self.folder is not None
            self._weights = latest_checkpoint(self.folder.checkpoints / "best")[0].tensors

    def settle(self) -> None:
        """At the end of the run: put the best weights back, where that is asked for."""
        if not self.settings.load_best_model_at_end:
            return
        if self._weights:
            self.roles.restore(self._weights, self.trained)
            log.info("%s: weights of step %d, the best", self.stage, self.standing.best_step)
        elif self.standing.evaluated:
            log.warning(
                "%s: no evaluation could be the best, the last weights are kept", self.stage
            )

    def _keep(self, number: int) -> None:
        state = self.roles.state(self.trained)
        self._weights = {key: tensor.clone() for key, tensor in state.items()}
        if self.folder:
            kept = Checkpoint(number, self._weights, {})
            keep_checkpoint(self.folder.checkpoints / "best", kept, keep=1)
