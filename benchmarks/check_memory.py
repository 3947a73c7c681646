"""Peak memory and time of `palate check` on a large file, and on one line of 200 MB.

    python benchmarks/check_memory.py --megabytes 1000

The file is generated in a temporary folder (TMPDIR) and removed. "Over base" is over the same
command on a file of one row.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

MEBI = 2**20
PROGRAM = "import sys; from palate.cli.app import main; sys.exit(main(sys.argv[1:]))"


def write_pairs(path: Path, *, num_bytes: int, words_a_text: int = 60) -> int:
    """Write pairs of random words; every hundredth repeats an earlier one. Returns their number."""
    draw = random.Random(0)
    words = [f"w{draw.randrange(10**5)}" for _ in range(20_000)]
    written = number = 0
    line = b""
    with path.open("wb") as file:
        while written < num_bytes:
            if number % 100 != 99:
                texts = [" ".join(draw.choices(words, k=words_a_text)) for _ in range(3)]
                row = dict(zip(("prompt", "chosen", "rejected"), texts, strict=True))
                line = json.dumps(row).encode() + b"\n"
            written += file.write(line)
            number += 1
    return number


def measure(path: Path) -> tuple[float, float, dict[str, int]]:
    """Check a file in a process of its own: seconds, peak MB, and faults by code."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "check", str(path), "--json"], stdout=subprocess.PIPE
    )
    out, _ = child.communicate()
    seconds = time.perf_counter() - started
    report = json.loads(out)
    return seconds, _peak_of_children(), {f["code"]: f["count"] for f in report["faults"]}


def _peak_of_children() -> float:
    """Largest resident set of any child so far, in MB; so small files are measured first."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Measure and print one line a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    megabytes = parser.parse_args().megabytes
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        base = 0.0
        for name, num_bytes in (
            ("one row", 1),
            ("1,000 rows", 1_100_000),
            ("large", megabytes * MEBI),
        ):
            num_rows = write_pairs(path, num_bytes=num_bytes)
            seconds, peak, faults = measure(path)
            base = base or peak
            print(f"{name}: {num_rows} rows, {seconds:.1f} s, peak {peak:.0f} MB, "
                  f"{peak - base:.0f} over base; {faults}", flush=True)  # fmt: skip
        path.write_bytes(b'{"prompt": "' + b"x" * (200 * MEBI) + b'"}\n')
        seconds, peak, faults = measure(path)
        print(f"a line of 200 MB: {seconds:.1f} s, {faults} (peak so far {peak:.0f} MB)")


if __name__ == "__main__":
    main()
