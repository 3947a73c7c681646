"""Memory and speed of reading a large file: `palate convert` and the reader behind it.

    python benchmarks/streaming.py --megabytes 1000

Writes a file of pairs (outside the repository, in --folder), reads it in a process of its own, and
prints the peak of resident memory over that of the same process on a file of one row.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What each measured process does with the file; ru_maxrss is in kilobytes on Linux.
READ = """
import sys
from palate.data.doors import ANY
from palate.data.files import lines_of
from palate.data.layout import AS_THEY_SAY
from palate.data.stream import stream
for read in stream(lines_of(sys.argv[1]), ANY, AS_THEY_SAY, keep_columns=True):
    assert not read.is_bad, read.faults
"""
CONVERT = """
import sys
from palate.data.convert import convert
convert(sys.argv[1], sys.argv[2])
"""
WORDS = ["the", "model", "answers", "with", "some", "words", "that", "nobody", "has", "written"]


def write_pairs(path: Path, *, megabytes: float, seed: int = 0) -> int:
    """A file of conversational pairs of 0.5 to 4 kB; returns the number of rows."""
    choose, size, rows = random.Random(seed), 0, 0

    def say(count: int) -> str:
        return " ".join(choose.choices(WORDS, k=count))

    with path.open("w", encoding="utf-8") as file:
        while size < megabytes * 2**20:
            turn = {"role": "user", "content": f"{rows} {say(choose.randint(10, 80))}"}
            row = {
                "prompt": [turn],
                "chosen": [{"role": "assistant", "content": say(choose.randint(30, 300)) + "!"}],
                "rejected": [{"role": "assistant", "content": say(choose.randint(30, 300))}],
            }
            size += file.write(json.dumps(row) + "\n")
            rows += 1
    return rows


def measure(code: str, *arguments: Path) -> tuple[float, float]:
    """Seconds and peak resident megabytes of a process."""
    told = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    command = [sys.executable, "-c", f"{code}\n{told}", *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, int(done.stdout.split()[-1]) / 1024


def main() -> None:
    """Measure and print a line for each way to read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=1000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = Path(made)
        small, large = folder / "small.jsonl", folder / "large.jsonl"
        write_pairs(small, megabytes=0.001)
        rows = write_pairs(large, megabytes=given.megabytes)
        print(f"{rows} rows, {large.stat().st_size / 2**20:.0f} MB")
        ways = {"read": (READ, None), "to .jsonl": (CONVERT, "out.jsonl"),
                "to .parquet": (CONVERT, "out.parquet")}  # fmt: skip
        for name, (code, target) in ways.items():
            outputs = [folder / target] if target else []
            _, base = measure(code, small, *outputs)
            seconds, peak = measure(code, large, *outputs)
            print(f"{name}: {seconds:.0f} s, {given.megabytes / seconds:.0f} MB/s, "
                  f"peak {peak:.0f} MB, {peak - base:.0f} MB over base")  # fmt: skip
            for path in outputs:
                path.unlink()


if __name__ == "__main__":
    main()
