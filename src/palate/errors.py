"""Every error that a user can cause, each with the exit code of the command line.

A message says what was wrong, where, why, and what to do next. `ValueError` is a base so that
callers who know nothing of Palate can still catch bad input as bad input.
"""


class PalateError(Exception):
    """An error with a message for people and an exit code for programs."""

    exit_code = 1


class UsageError(PalateError, ValueError):
    """A flag, argument or path cannot be used as given."""

    exit_code = 2


class RecipeError(UsageError):
    """A settings key is unknown, contradictory or out of range."""


class DataError(PalateError, ValueError):
    """Rows cannot be trained on; the message names file and line."""

    exit_code = 2


class ModelError(PalateError, ValueError):
    """A model folder is unsafe, incomplete or not supported."""

    exit_code = 2


class CheckpointError(PalateError, ValueError):
    """A checkpoint is missing, damaged or belongs to another run."""

    exit_code = 2


class StoreError(PalateError, ValueError):
    """A database of votes cannot be opened or written; what was acknowledged is safe in it."""

    exit_code = 2


class NumericalError(PalateError, ArithmeticError):
    """A loss, gradient or reward is not finite; training stopped before the update."""

    exit_code = 3


class GateError(PalateError):
    """A check refused to go on: step-0 identity broken, gradients missing, reward model unfit.

    `finding` is the name under which `palate diagnose` explains it; "" where it does not.
    """

    exit_code = 4

    def __init__(self, message: str, *, finding: str = "") -> None:
        super().__init__(message)
        self.finding = finding


class RemoteError(PalateError):
    """A server did not give what was asked of it; `kind` is a key of models.remote_reply.KINDS."""

    exit_code = 2

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Interrupted(PalateError):
    """A signal asked the run to stop; a checkpoint was saved."""

    exit_code = 130
