"""How fast and how lean beside TRL, and how near the limit: the rows of `speed_case.CASES`.

    python benchmarks/speed.py dpo dpo-full --repeat 3     # make bench: every row

Each measurement is a process of its own, the two sides in turn; `measured.jsonl` in the work folder
keeps them all, and the table shows the medians of what it holds, so that a long row may be measured
in several calls.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speed_case import CASES, write_case
from witness_trl import HERE, make_environment

WORK = HERE / "runs" / "speed"
SIDES = ("palate", "trl")


def measure(folder: Path, row: str, side: str) -> dict[str, Any]:
    """One measurement, in a new process."""
    python = sys.executable if side == "palate" else str(make_environment())
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    if side == "trl":
        environment.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "found.json"
        subprocess.run(
            [python, str(HERE / f"speed_{side}_side.py"), str(folder), row, str(out)],
            check=True, env=environment, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def table(measured: Sequence[dict[str, Any]], *, by: int) -> str:
    """Medians by row: rows/s of both sides, their ratio, memory, share of the limit.

    Args:
        measured: what the sides wrote.
        by: 0, the wall's seconds, or 1, the CPU's.
    """
    lines = [
        "| row | Palate, rows/s | TRL, rows/s | ratio | floor / goal | share of the limit "
        "| peak RSS, GB: Palate / TRL | runs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, case in CASES.items():
        runs = [[m for m in measured if (m["row"], m["side"]) == (row, side)] for side in SIDES]
        if not runs[0]:
            continue
        rates = [_median([m["pairs"] / m["seconds"][by] for m in some]) for some in runs]
        peaks = [_median([m["peak_rss"] / 1e9 for m in some]) for some in runs]
        share = _median([m["flops"] / m["gemm"][by] / m["seconds"][by] for m in runs[0]])
        lines.append(
            f"| {row} | {rates[0]:.2f} | {rates[1]:.2f} | {rates[0] / rates[1]:.1f} "
            f"| {case.floor:g} / {case.goal:g} | {share:.0%} | {peaks[0]:.2f} / {peaks[1]:.2f} "
            f"| {len(runs[0])} / {len(runs[1])} |"
        )
    gemm = [m["gemm"][by] / 1e9 for m in measured if not CASES[m["row"]].bf16]
    threads = sorted({m["threads"] for m in measured})
    lines.append(f"\nGEMM, float32: {min(gemm):.0f} to {max(gemm):.0f} GFLOP/s; threads {threads}")
    return "\n".join(lines)


def _median(values: Sequence[float]) -> float:
    """NaN where nothing was measured."""
    return statistics.median(values) if values else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="of: " + ", ".join(CASES))
    parser.add_argument("--repeat", type=int, default=3, help="measurements a side")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--work", type=Path, default=WORK, help="folder of data and measurements")
    parser.add_argument("--by", choices=("wall", "cpu"), default="wall", help="which seconds")
    parser.add_argument("--report", action="store_true", help="only print what was measured")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    log = options.work / "measured.jsonl"
    if not options.report:
        write_case(options.work)
        for row in options.rows or CASES:
            for _ in range(options.repeat):
                for side in options.sides:
                    found = measure(options.work, row, side)
                    with log.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(found) + "\n")
                    print(json.dumps(found), file=sys.stderr, flush=True)
    lines = log.read_text(encoding="utf-8").splitlines()
    print(table([json.loads(line) for line in lines], by=("wall", "cpu").index(options.by)))


if __name__ == "__main__":
    main()
