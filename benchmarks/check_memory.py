"""Peak memory and time of `palate check` on a large file, and on one line of 200 MB.

    python benchmarks/check_memory.py --megabytes 1000

The file is generated in a temporary folder (TMPDIR) and removed. "Over base" is over the same
command on a file of one row.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from string import ascii_lowercase
from tempfile import TemporaryDirectory

MEBI = 2**20
# The child tells its own peak: what getrusage has of it counts this process before the fork too.
PROGRAM = """
import sys
from pathlib import Path
from palate.cli.app import main
main(sys.argv[1:])
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


def write_pairs(path: Path, *, num_bytes: int, words_a_text: int = 60) -> int:
    """Write pairs of random words; every hundredth repeats an earlier one. Returns their number."""
    draw = random.Random(0)
    words = ["".join(draw.choices(ascii_lowercase, k=draw.randint(2, 9))) for _ in range(20_000)]
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
    command = [sys.executable, "-c", PROGRAM, "check", str(path), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    report = json.loads(done.stdout)
    peak = int(done.stderr.split()[-1]) / 1024
    return seconds, peak, {f["code"]: f["count"] for f in report["faults"]}


def main() -> None:
    """Measure and print one line a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    megabytes = parser.parse_args().megabytes
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        base = 0.0
        sizes = {"one row": 1, "1,000 rows": 1_050_000, "large": megabytes * MEBI}
        for name, num_bytes in sizes.items():
            num_rows = write_pairs(path, num_bytes=num_bytes)
            seconds, peak, faults = measure(path)
            base = base or peak
            print(f"{name}: {num_rows} rows, {seconds:.1f} s, peak {peak:.0f} MB, "
                  f"{peak - base:.0f} over base; {faults}", flush=True)  # fmt: skip
        with path.open("wb") as file:
            file.write(b'{"prompt": "')
            for _ in range(200):
                file.write(b"x" * MEBI)
            file.write(b'"}\n')
        seconds, peak, faults = measure(path)
        print(f"a line of 200 MB: {seconds:.1f} s, peak {peak:.0f} MB, "
              f"{peak - base:.0f} over base; {faults}")  # fmt: skip


if __name__ == "__main__":
    main()
