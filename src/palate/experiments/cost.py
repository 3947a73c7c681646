"""What a piece of work cost: seconds, FLOPs, tokens, memory."""

import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import reduce
from pathlib import Path
from typing import Any

from palate.models.meter import Meter
from palate.models.roles import Roles


@dataclass
class Cost:
    """One stage's or arm's bill; counts are of the work inside `metered`.

    Attributes:
        wall_s: seconds.
        flops: counted floating-point operations of training, scoring and sampling.
        tokens_trained: rows of forests that had a backward pass.
        tokens_sampled: rows computed while sampling (prompts once for all their samples).
        peak_rss_bytes: highest resident memory of the process meanwhile (since the process
            started, where the system cannot say since when).
        weights_resident_bytes: bytes of all weights in memory at the end.
        models_resident: whole models (trunks) in memory at the end.
    """

    wall_s: float = 0.0
    flops: dict[str, float] = field(default_factory=dict)
    tokens_trained: int = 0
    tokens_sampled: int = 0
    peak_rss_bytes: int = 0
    weights_resident_bytes: int = 0
    models_resident: int = 0

    def to_json(self) -> dict[str, Any]:
        """As in results.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> "Cost | None":
        """What `to_json` wrote; None where it is no whole bill."""
        known = {f.name for f in fields(cls)}
        if not isinstance(values, Mapping) or not known <= values.keys():
            return None
        return cls(**{name: values[name] for name in known})

    @property
    def total_flops(self) -> float:
        """FLOPs of all three kinds of work."""
        return sum(self.flops.values())

    def plus(self, other: "Cost") -> "Cost":
        """Both bills: sums, and the larger of the peaks."""
        return Cost(
            wall_s=self.wall_s + other.wall_s,
            flops={
                work: self.flops.get(work, 0) + other.flops.get(work, 0)
                for work in self.flops | other.flops
            },
            tokens_trained=self.tokens_trained + other.tokens_trained,
            tokens_sampled=self.tokens_sampled + other.tokens_sampled,
            peak_rss_bytes=max(self.peak_rss_bytes, other.peak_rss_bytes),
            weights_resident_bytes=max(self.weights_resident_bytes, other.weights_resident_bytes),
            models_resident=max(self.models_resident, other.models_resident),
        )

    def shared_by(self, num_arms: int) -> "Cost":
        """This bill divided among the arms that profit from it; memory is not divided."""
        return replace(
            self,
            wall_s=self.wall_s / num_arms,
            flops={work: flops / num_arms for work, flops in self.flops.items()},
            tokens_trained=self.tokens_trained // num_arms,
            tokens_sampled=self.tokens_sampled // num_arms,
        )


class Ledger:
    """cost.json of a run folder: the bill of every process that worked on the run.

    A run that was stopped and resumed costs what all its processes cost. An entry is null from a
    process's start to its end, so that one which was killed leaves the run's bill unknown and not
    too small.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self._path = folder / "cost.json"
        self._entries: list[Cost | None] = []
        if resume:
            self._entries = _read_entries(self._path)

    @contextmanager
    def metered(self, roles: Roles) -> Iterator[Cost]:
        """`metered`, written down before and after, whatever ends it."""
        self._entries.append(None)
        self._write()
        try:
            with metered(roles) as cost:
                yield cost
        finally:
            self._entries[-1] = cost
            self._write()

    def total(self) -> Cost | None:
        """The run's bill; None where that of an earlier process is not known."""
        known = [cost for cost in self._entries if cost is not None]
        return reduce(Cost.plus, known) if known and len(known) == len(self._entries) else None

    def _write(self) -> None:
        draft = self._path.with_suffix(".tmp")
        rows = [cost and cost.to_json() for cost in self._entries]
        draft.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        draft.replace(self._path)


def _read_entries(path: Path) -> list[Cost | None]:
    """What earlier processes wrote; one unknown entry where nothing readable is there."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        rows = None
    return [Cost.from_json(row) for row in rows] if isinstance(rows, list) else [None]


@contextmanager
def metered(roles: Roles) -> Iterator[Cost]:
    """Measure what happens inside with these roles; the cost is filled in at the end."""
    cost = Cost()
    roles.meter = Meter()
    _forget_peak()
    started = time.perf_counter()
    try:
        yield cost
    finally:
        cost.wall_s = time.perf_counter() - started
        cost.flops = {str(work): flops for work, flops in roles.meter.flops.items()}
        cost.tokens_trained = roles.meter.tokens["train"]
        cost.tokens_sampled = roles.meter.tokens["sample"]
        cost.peak_rss_bytes = peak_rss_bytes()
        cost.weights_resident_bytes = roles.weights_resident_bytes()
        cost.models_resident = roles.models_resident()


def peak_rss_bytes() -> int:
    """Highest resident memory of this process since `_forget_peak` (Linux) or its start."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _forget_peak() -> None:
    """Linux can forget a process's peak; elsewhere the peak stays the process's."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
