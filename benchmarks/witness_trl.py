"""Does Palate compute DPO as TRL does? One case, two environments, one table.

    python benchmarks/witness_trl.py            # make bench

1. makes TRL's environment (benchmarks/.venv-trl) where it is not there
2. writes the case (model, adapter, pairs) and Palate's numbers
3. lets TRL compute its own from the same folders
4. prints the largest differences, records TRL's values for the ordinary test suite, and exits
   with 1 where the two disagree
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from witness_case import palate_numbers, worst_gap

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv-trl"
TRL = "1.16.0"
PACKAGES = (f"trl=={TRL}", "transformers==5.23.0", "peft==0.21.2", "datasets", "accelerate")
RECORD = HERE / "data" / f"witness_trl_{TRL}.json"
# Largest difference allowed, relative (see `worst_gap`).
PER_PAIR = 1e-5
TRAINING = 1e-4


def make_environment() -> Path:
    """TRL's Python, installed on first use; the project's own environment never sees TRL."""
    python = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / ".ready"
    if not ready.exists():
        print(f"installing TRL {TRL} into {ENVIRONMENT.name} (once) …", file=sys.stderr)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        subprocess.run([*install, "torch==2.13.0"], check=True)
        subprocess.run([*install, *PACKAGES], check=True)
        ready.touch()
    return python


def trl_numbers(folder: Path) -> dict[str, Any]:
    """TRL's numbers for the case in `folder`, computed in TRL's environment."""
    python = make_environment()
    out = folder / "trl.json"
    subprocess.run(
        [str(python), str(HERE / "witness_trl_side.py"), str(folder), str(out)],
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"},
        stdout=sys.stderr,
    )
    numbers: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return numbers


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Print the table; True where everything agrees."""
    same_tokens = ours["tokens"] == theirs["tokens"]
    print(f"tokens of {len(ours['tokens'])} pairs: {'equal' if same_tokens else 'DIFFERENT'}")
    print(f"\n{'quantity':<24} {'values':>6} {'largest difference':>19} {'allowed':>8}")
    agreed = same_tokens
    for part, allowed in (("pairs", PER_PAIR), ("training", TRAINING)):
        for name, values in ours[part].items():
            gap = worst_gap(values, theirs[part][name])
            mark = "" if gap <= allowed else "  DISAGREE"
            agreed = agreed and gap <= allowed
            print(f"{part + ' ' + name:<24} {len(values):>6} {gap:>19.1e} {allowed:>8.0e}{mark}")
    first, last = ours["training"]["loss"][0], ours["training"]["loss"][-1]
    print(f"\ntraining loss, step 1 → {len(ours['training']['loss'])}: {first:.6f} → {last:.6f}")
    print(f"TRL: {theirs['training']['loss'][0]:.6f} → {theirs['training']['loss'][-1]:.6f}")
    return agreed


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        ours = palate_numbers(folder)
        seconds = time.perf_counter() - started
        (folder / "palate.json").write_text(json.dumps(ours), encoding="utf-8")
        theirs = trl_numbers(folder)
    versions = ", ".join(f"{name} {number}" for name, number in theirs["versions"].items())
    print(f"yardstick: {versions}\nPalate's side took {seconds:.1f} s in all, ", end="")
    print(f"TRL's training loop {theirs['seconds']:.1f} s\n")
    if not compare(ours, theirs):
        print("\nPalate and TRL disagree", file=sys.stderr)
        return 1
    record = {key: theirs[key] for key in ("versions", "pairs", "training")}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"\nthey agree; TRL's values are in {RECORD.relative_to(HERE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
