"""Where a run stands and who follows it, and what is known of it when it is over."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from palate.training.folder import RunFolder


@runtime_checkable
class Listener(Protocol):
    """Whoever wants to know; returning True from `on_step` ends the run after this step."""

    def on_step(self, step: int, num_steps: int) -> bool: ...

    def on_log(self, step: int, metrics: Mapping[str, float]) -> None: ...


@dataclass(frozen=True)
class Result:
    """What a finished run tells.

    `train_seconds` is the loop alone; `stop_reason` names what ended a run before its last step,
    "" where nothing did.
    """

    steps: int
    examples: int
    tokens: int
    train_seconds: float
    metrics: dict[str, float]
    history: list[dict[str, float]]
    stop_reason: str = ""


@dataclass(frozen=True)
class Run:
    """Where a run stands and who follows it; what it computes is in its settings.

    Attributes:
        folder: where log and checkpoints go; None keeps the log in memory and saves nothing.
        resume: continue from the folder's newest good checkpoint.
        identity: hashes of model and data, which a resumed run must share.
        sample: called when samples of fixed prompts are due, with the step.
        listeners: told of steps and rows of the log.
        saved: called with the step of a checkpoint once it is on disk.
    """

    folder: RunFolder | None = None
    resume: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)
    sample: Callable[[int], None] | None = None
    listeners: Sequence[Listener] = ()
    saved: Callable[[int], None] | None = None
