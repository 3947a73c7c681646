"""How long a voter waits, and how long a report of quality takes.

    python benchmarks/votes.py

For each number of pairs and each strategy: the median and the 95th percentile, in milliseconds, of
one vote with the next question after it (two acknowledged transactions), as `palate label` asks for
them; then one report of quality over all votes so far.
"""

import tempfile
import time
from pathlib import Path
from typing import get_args

import numpy as np

from palate.collection import CollectionSettings, Item, open_store
from palate.collection.settings import Strategy

NUM_ANNOTATORS = 4
NUM_VOTES = 100  # by each


def main() -> None:
    """Print a table."""
    print(f"{'pairs':>7} {'strategy':>13} {'median ms':>10} {'95 % ms':>9} {'quality ms':>11}")
    for num_items in (1_000, 10_000, 100_000):
        for strategy in get_args(Strategy):
            with tempfile.TemporaryDirectory() as folder:
                measure(Path(folder) / "votes", num_items, strategy)


def measure(path: Path, num_items: int, strategy: Strategy) -> None:
    """Let annotators vote, and print a row."""
    settings = CollectionSettings(votes_per_item=3, strategy=strategy, salt="benchmark")
    generator = np.random.default_rng(0)
    with open_store(path, settings=settings) as store:
        store.add_items(
            Item(f"question {n}", f"answer {n}", f"other answer {n}", margin=float(n % 97))
            for n in range(num_items)
        )
        people = [store.add_annotator(f"person {n}")[0].id for n in range(NUM_ANNOTATORS)]
        for one in people:
            store.questions(one, count=2)
        waits = []
        for _ in range(NUM_VOTES):
            for one in people:
                question = store.questions(one, count=2)[0]
                choice = "left" if generator.random() < 0.5 else "right"
                start = time.perf_counter()
                store.vote(one, question.id, choice, latency_ms=5000)
                store.questions(one, count=2)
                waits.append(time.perf_counter() - start)
        start = time.perf_counter()
        store.quality()
        quality = time.perf_counter() - start
    median, late = np.quantile(waits, [0.5, 0.95]) * 1000
    print(f"{num_items:7} {strategy:>13} {median:10.1f} {late:9.1f} {quality * 1000:11.0f}")


if __name__ == "__main__":
    main()
