"""A metric in at most a thousand buckets, however long its log is.

A bucket holds the lowest, highest and mean value of `width` points in a row. When there are too
many buckets each two neighbours become one: a spike stays visible, memory and drawing stay small,
and adding a point costs the same after a million as after ten.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BUCKETS = 1000
"""Each is drawn as two points."""

Floats = NDArray[np.float64]


class Series:
    """Buckets of one metric, with what a page needs to fetch only what is new.

    Attributes:
        width: points of every bucket but the last, which may have fewer; a power of two.
        count: points of each bucket.
        step: each bucket's last step.
        low, high, mean: of each bucket's values.
    """

    def __init__(self) -> None:
        self.width = 1
        self.count = self.step = self.low = self.high = self.mean = np.empty(0)
        # At which version a bucket last changed, and at which all of them did.
        self._stamp, self._laid_out = np.empty(0), 0

    def __len__(self) -> int:
        return len(self.count)

    def add(self, steps: Floats, values: Floats, *, version: int) -> None:
        """Append points in the order of the log; versions must not fall."""
        if not len(values):
            return
        open_points = int(self.count[-1]) if len(self) and self.count[-1] < self.width else 0
        starts = _starts(len(values), self.width, open_points)
        lengths = np.diff([*starts, len(values)]).astype(float)
        gained = (
            lengths,
            steps[np.r_[starts[1:], len(values)] - 1],
            np.minimum.reduceat(values, starts),
            np.maximum.reduceat(values, starts),
            # Divided before it is summed: the largest floats must not overflow.
            np.add.reduceat(values / np.repeat(lengths, lengths.astype(int)), starts),
            np.full(len(starts), float(version)),
        )
        arrays = (self.count, self.step, self.low, self.high, self.mean, self._stamp)
        self._keep(*(np.concatenate(both) for both in zip(arrays, gained, strict=True)))
        if open_points:
            # The first of them belongs to the bucket that was open.
            self._merge(np.delete(np.arange(len(self)), len(self) - len(starts)))
        while len(self) > MOST_BUCKETS:
            self._halve(version)

    def since(self, version: int) -> dict[str, Any] | None:
        """What changed after a version, as JSON; None: nothing.

        Returns:
            Lists that take the place of what a page has from the bucket `at` on. `low` and `high`
            are null where every bucket is one point.
        """
        if self._laid_out > version:
            at = 0
        else:
            at = int(np.searchsorted(self._stamp, version, side="right"))
        if at == len(self):
            return None
        is_single = self.width == 1
        return {
            "at": at,
            "count": self.count[at:].astype(int).tolist(),
            "step": _short(self.step[at:]),
            "mean": _short(self.mean[at:]),
            "low": None if is_single else _short(self.low[at:]),
            "high": None if is_single else _short(self.high[at:]),
        }

    def _keep(self, *arrays: Floats) -> None:
        self.count, self.step, self.low, self.high, self.mean, self._stamp = arrays

    def _halve(self, version: int) -> None:
        self._merge(np.arange(0, len(self), 2))
        self.width *= 2
        self._stamp, self._laid_out = np.full(len(self), float(version)), version

    def _merge(self, starts: NDArray[np.int64]) -> None:
        """Make one bucket of all from each start to the next."""
        count = np.add.reduceat(self.count, starts)
        share = self.count / np.repeat(count, np.diff([*starts, len(self)]))
        self._keep(
            count,
            self.step[np.r_[starts[1:], len(self)] - 1],
            np.minimum.reduceat(self.low, starts),
            np.maximum.reduceat(self.high, starts),
            np.add.reduceat(self.mean * share, starts),
            np.maximum.reduceat(self._stamp, starts),
        )


def _starts(length: int, width: int, open_points: int) -> NDArray[np.int64]:
    """Where buckets begin among new points, when the last bucket holds `open_points` already."""
    first = width - open_points if open_points else width
    later = np.arange(first, length, width, dtype=np.int64)
    return np.concatenate([np.zeros(1, np.int64), later])


def _short(values: Floats) -> list[float]:
    """Seven digits: more are not to be seen, and fewer bytes are sent."""
    return [float(f"{value:.7g}") for value in values.tolist()]
