"""What a run must not lose when it is killed: into a checkpoint, and back to the last bit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from palate.errors import CheckpointError
from palate.models.roles import Roles
from palate.training.checkpoint import Checkpoint, settings_difference
from palate.training.journal import Journal
from palate.training.log_rows import count_rows, keep_rows
from palate.training.settings import StageSettings
from palate.training.window import Window

# Prefixes of a checkpoint's tensors that are not of a trained role.
OPTIMIZER, RNG, MOVING = "optimizer/", "rng/", "moving/"
# Settings that do not change what a run computes, only where and how often it tells.
FREE = frozenset({"output_dir", "save_steps", "save_total_limit", "report_to"})


@dataclass
class Standing:
    """How far a run is: everything that changes with its steps besides tensors and logs.

    `extra` holds numbers that a loop keeps from step to step.
    """

    step: int = 0
    examples: int = 0
    tokens: int = 0
    best_value: float | None = None
    best_step: int = 0
    stale: int = 0
    evaluated: int = 0
    stopped: bool = False
    stop_reason: str = ""
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Carried:
    """The parts of a run that a checkpoint carries.

    Attributes:
        stage: which kind of training it is.
        settings: its settings; a resumed run must share all but the `FREE` ones.
        identity: hashes of model and data, which a resumed run must share.
        roles: the models, of which the `trained` roles are carried.
        trained: names of those roles.
        moving: tensors that change in training without being trained, by name.
        parameters: what the optimizer updates, by name.
        optimizer: AdamW.
        standing: how far the run is.
        window: sums that the next row of the log averages.
        journal: the log.
        samples: samples.jsonl, which goes back with the run; None without a folder.
    """

    stage: str
    settings: StageSettings
    identity: Mapping[str, str]
    roles: Roles
    trained: tuple[str, ...]
    moving: Mapping[str, Tensor]
    parameters: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    standing: Standing
    window: Window
    journal: Journal
    samples: Path | None

    def checkpoint(self) -> Checkpoint:
        """The run as it stands."""
        tensors: dict[str, Tensor] = dict(self.roles.state(self.trained))
        for key, parameter in self.parameters.items():
            for part, value in self.optimizer.state[parameter].items():
                tensors[f"{OPTIMIZER}{key}/{part}"] = value
        tensors |= {f"{MOVING}{name}": tensor for name, tensor in self.moving.items()}
        tensors[f"{RNG}torch"] = torch.get_rng_state()
        for index in range(torch.cuda.device_count()):
            tensors[f"{RNG}cuda/{index}"] = torch.cuda.get_rng_state(index)
        state = {
            "stage": self.stage,
            "settings": self.settings.to_mapping(),
            "identity": dict(self.identity),
            "standing": vars(self.standing),
            "window": self.window.state(),
            "rows": len(self.journal.history),
            "samples": count_rows(self.samples) if self.samples else 0,
        }
        return Checkpoint(self.standing.step, tensors, state)

    def take_up(self, saved: Checkpoint) -> None:
        """Stand where the checkpoint stood.

        Raises:
            CheckpointError: it is of another stage, other settings, other data or another model.
            ModelError: its tensors do not fit the trained roles.
        """
        self._refuse_another_run(saved)
        others = (OPTIMIZER, RNG, MOVING)
        own = {k: v for k, v in saved.tensors.items() if not k.startswith(others)}
        self.roles.restore(own, self.trained)
        with torch.no_grad():
            for name, tensor in self.moving.items():
                tensor.copy_(saved.tensors[f"{MOVING}{name}"])
        for key, parameter in self.parameters.items():
            prefix = f"{OPTIMIZER}{key}/"
            self.optimizer.state[parameter] = {
                name.removeprefix(prefix): tensor.clone()
                for name, tensor in saved.tensors.items()
                if name.startswith(prefix)
            }
        torch.set_rng_state(saved.tensors[f"{RNG}torch"])
        for index in range(torch.cuda.device_count()):
            torch.cuda.set_rng_state(saved.tensors[f"{RNG}cuda/{index}"], index)
        vars(self.standing).update(saved.state["standing"])
        self.window.restore(saved.state["window"])
        self.journal.rewind(saved.state["rows"])
        if self.samples:
            keep_rows(self.samples, saved.state["samples"])

    def _refuse_another_run(self, saved: Checkpoint) -> None:
        if saved.state["stage"] != self.stage:
            raise CheckpointError(f"the checkpoint is of a {saved.state['stage']} run")
        changed = settings_difference(
            saved.state["settings"], self.settings.to_mapping(), free=FREE
        )
        if changed:
            pairs = ", ".join(
                f"{n} was {saved.state['settings'].get(n)!r}, now {getattr(self.settings, n)!r}"
                for n in changed
            )
            raise CheckpointError(f"cannot resume with other settings: {pairs}")
        for name, value in self.identity.items():
            if saved.state["identity"].get(name) != value:
                raise CheckpointError(
                    f"cannot resume: the {name} is not what the run started with; give the same "
                    "one, or start anew"
                )
