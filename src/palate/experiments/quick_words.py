"""What the look before a training found, in words: the same at both doors of training."""

from collections.abc import Iterator

from palate.data.checks.quick import QuickCheck
from palate.experiments.table import measured


def quick_words(found: QuickCheck, source: str, *, command: str) -> Iterator[str]:
    """A line a kind of fault, then what was left out.

    Args:
        found: the look's outcome.
        source: what the rows are called.
        command: that shows more on them.
    """
    for group in found.faults:
        yield f"{source}: {group}"
    if found.noise is not None:
        noise = measured(found.noise.to_json(), percent=True)
        yield (
            f"{source}: {noise} of labels are flipped, as {found.num_repeated:,} repeated "
            "comparisons tell"
        )
    if not found.is_whole:
        yield (
            f"{source}: near duplicates and languages were not looked for, it is too long for that "
            f"before every training; {command} does"
        )
    elif found.faults:
        yield f"more on them: {command}"
