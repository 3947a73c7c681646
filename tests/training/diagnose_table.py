"""`make diagnose-table`: every planted disease and the healthy runs, and what is found in them.

    python -m tests.training.diagnose_table docs/diagnose.md --kept FOLDER [--seeds 100 110]

Runs are kept as one line each in FOLDER/runs.jsonl, so that a stopped table goes on where it was.
The table between the page's two marks is replaced.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.training.plant_world import SHAPES
from tests.training.plants import DISEASED, HEALTHY, Case, run

from palate.measures.findings.finding import rank

BEGIN, END = "<!-- table: make diagnose-table -->", "<!-- end of the table -->"
ALARM = rank("warning")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs=2, default=(100, 110))
    parser.add_argument("--only", nargs="*", default=())
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    given.kept.mkdir(parents=True, exist_ok=True)
    path = given.kept / "runs.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["case"], row["disease"], row["seed"]) for row in rows}
    for case in [*DISEASED, *HEALTHY]:
        if given.only and case.disease not in given.only:
            continue
        for seed in range(*given.seeds):
            if (case.name, case.disease, seed) in done:
                continue
            row = _measured(case, seed)
            rows.append(row)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(case.disease or "healthy", case.name, seed, row["found"], flush=True)
    table = "\n".join(_table([row for row in rows if row["seed"] in range(*given.seeds)]))
    print(table)
    if given.page.exists():
        text = given.page.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        given.page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
    return 0


def _measured(case: Case, seed: int) -> dict[str, Any]:
    """Train one run; shapes take turns."""
    shape = SHAPES[seed % 2]
    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        found = run(case, shape, seed, Path(folder))
    return {
        "case": case.name, "disease": case.disease, "seed": seed, "shape": shape,
        "found": {finding.name: finding.level for finding in found.findings},
        "seconds": time.process_time() - before,
    }  # fmt: skip


def _alarms(row: dict[str, Any]) -> list[str]:
    return [name for name, level in row["found"].items() if rank(level) >= ALARM]


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line a planted disease: how often it is found, and what else is found beside it."""
    yield "| planted | by | runs | found | of llama | of gpt2 | also found in these runs |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for case in DISEASED:
        mine = [r for r in rows if (r["case"], r["disease"]) == (case.name, case.disease)]
        if not mine:
            continue
        others = Counter(name for row in mine for name in _alarms(row) if name != case.disease)
        cells = [
            case.disease, case.name, len(mine), _share(mine, case.disease),
            *(_share([r for r in mine if r["shape"] == shape], case.disease) for shape in SHAPES),
            ", ".join(f"{name} {count}" for name, count in others.most_common()) or "–",
        ]  # fmt: skip
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""
    yield "| healthy | runs | with any warning | what |"
    yield "| --- | --- | --- | --- |"
    for case in HEALTHY:
        mine = [r for r in rows if r["case"] == case.name and not r["disease"]]
        yield _healthy(case.name, mine)
    yield _healthy("all", [r for r in rows if not r["disease"]])
    seconds = sum(row["seconds"] for row in rows)
    yield ""
    yield f"{len(rows)} runs, {seconds / 60:.1f} CPU minutes on one thread."


def _share(rows: Sequence[dict[str, Any]], disease: str) -> str:
    found = sum(disease in _alarms(row) for row in rows)
    return f"{found}/{len(rows)}"


def _healthy(name: str, rows: Sequence[dict[str, Any]]) -> str:
    wrong = [row for row in rows if _alarms(row)]
    what = Counter(alarm for row in wrong for alarm in _alarms(row))
    told = ", ".join(f"{alarm} {count}" for alarm, count in what.most_common()) or "–"
    return f"| {name} | {len(rows)} | {len(wrong)} | {told} |"


if __name__ == "__main__":
    sys.exit(main())
