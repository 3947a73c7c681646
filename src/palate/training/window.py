"""Means of metrics since the last row of the log."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from palate.training.journal import metric


class Window:
    """Sums since the last row of the log; float64, so that a resumed run adds up the same."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Whether anything was added since the last row of the log."""
        return bool(self._sums)

    def add(self, name: str, total: Tensor | float, count: float = 1.0) -> None:
        """Add a sum over `count` things; the log shows sum / count."""
        metric(name)
        amount = torch.as_tensor(total, dtype=torch.float64).detach()
        before = self._sums.get(name, torch.zeros((), dtype=torch.float64))
        self._sums[name] = before + amount.cpu()
        self._counts[name] = self._counts.get(name, 0.0) + count

    def means(self) -> dict[str, float]:
        """Mean of every metric; the window starts again."""
        rows = {n: float(s) / self._counts[n] for n, s in self._sums.items() if self._counts[n]}
        self._sums, self._counts = {}, {}
        return rows

    def mark(self) -> Callable[[], None]:
        """Remember what was added so far; calling what is returned forgets what came after."""
        sums, counts = dict(self._sums), dict(self._counts)

        def back() -> None:
            self._sums, self._counts = sums, counts

        return back

    def state(self) -> dict[str, list[float]]:
        """For a checkpoint."""
        return {name: [float(s), self._counts[name]] for name, s in self._sums.items()}

    def restore(self, state: Mapping[str, list[float]]) -> None:
        """From a checkpoint."""
        self._sums = {n: torch.tensor(v[0], dtype=torch.float64) for n, v in state.items()}
        self._counts = {n: v[1] for n, v in state.items()}
