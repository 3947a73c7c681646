"""`make known-optimum`: every algorithm to its fixed point, as the table of docs/known-optimum.md.

Run as `python -m tests.training.known_optimum docs/known-optimum.md`. The table between the page's
two marks is replaced; exit code 1 where a row is not under its bound, and the page stays as it was.
"""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.training import online_cases, test_fixed_points
from tests.training.reached import Reached
from tests.training.test_known_optimum import BETAS, dpo_reached, ppo_reached

BEGIN, END = "<!-- table: make known-optimum -->", "<!-- end of the table -->"
HEAD = ("algorithm", "β", "TV to its fixed point", "bound", "start", "fixed point to π*",
        "steps", "tokens", "seconds")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One algorithm: how to train it, and what it must come within."""

    name: str
    beta: float
    bound: float
    train: Callable[[], Reached]


def rows() -> Iterator[Row]:
    """The long road, the online methods, and the DPO family."""
    for beta in BETAS:
        yield Row("ppo", beta, 0.05, partial(ppo_reached, beta, steps=150, samples=128))
    for one in online_cases.CASES:
        yield Row(one.name, one.beta, one.bound, partial(online_cases.reach, one))
    for beta in BETAS:
        bound = test_fixed_points.BOUND
        yield Row("dpo", beta, bound, partial(dpo_reached, beta, steps=150))
    for case in test_fixed_points.CASES:
        name = ", ".join([f"dpo, {case.name}", *(f"{k} {v}" for k, v in case.settings.items())])
        yield Row(name, case.beta, case.bound, partial(test_fixed_points.distances, case))


def measure(place: int) -> tuple[str, str]:
    """Train a row; its line of the table, and what is said where it misses its bound, or ""."""
    row = list(rows())[place]
    before = time.perf_counter()
    found = row.train()
    seconds = time.perf_counter() - before
    cells = (
        row.name, f"{row.beta:g}", f"{found.to_own:.4f}", f"{row.bound:g}",
        f"{found.start:.2f}", f"{found.own_to_optimum:.4f}", f"{found.steps}",
        f"{found.tokens}", f"{seconds:.0f}",
    )  # fmt: skip
    is_under = found.to_own < row.bound
    missed = f"{row.name} at β = {row.beta:g}: {found.to_own:.4f}, bound {row.bound:g}"
    return f"| {' | '.join(cells)} |", "" if is_under else missed


def main(page: Path) -> int:
    """Measure every row, one a core at a time, and write the page if all are under their bounds."""
    lines = [f"| {' | '.join(HEAD)} |", f"| {' | '.join('---' for _ in HEAD)} |"]
    late: list[str] = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for line, missed in pool.map(measure, range(len(list(rows())))):
            lines.append(line)
            print(line, flush=True)
            late += [missed] if missed else []
    if late:
        print("not under their bound, the page stays as it was:", *late, sep="\n", file=sys.stderr)
        return 1
    text = page.read_text(encoding="utf-8")
    before_table, _, rest = text.partition(BEGIN)
    after_table = rest.partition(END)[2]
    table = "\n".join(lines)
    page.write_text(f"{before_table}{BEGIN}\n\n{table}\n\n{END}{after_table}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
