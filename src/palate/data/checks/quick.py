"""The check that every training runs on its rows in memory before it loads a model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from palate.data.checks.across import overlaps
from palate.data.checks.content import quick_warnings, texts_of
from palate.data.checks.indexes import open_indexes
from palate.data.checks.tally import FaultGroup, Tally
from palate.data.checks.together import Record, Together
from palate.data.faults import Fault
from palate.measures.estimate import Estimate

# Some ten seconds of one core: more is not looked at for near duplicates and languages, which take
# as long as all the rest.
MAX_CHARACTERS = 2**25


@dataclass(frozen=True)
class QuickCheck:
    """What may spoil a training.

    Attributes:
        faults: by kind.
        noise: the share of flipped labels; None where comparisons were not made twice.
        num_repeated: comparisons that were.
        is_whole: whether near duplicates and languages were looked for.
    """

    faults: tuple[FaultGroup, ...]
    noise: Estimate | None
    num_repeated: int
    is_whole: bool


def quick_check(
    train: Sequence[Record], held_out: Sequence[Record] = (), *, known: Iterable[Fault] = ()
) -> QuickCheck:
    """Look at rows in memory for what may spoil a training.

    Args:
        train: records to train on.
        held_out: records to evaluate on, which should share no prompt with them.
        known: faults that reading has found already.
    """
    tally, is_whole = Tally(), _num_characters(train) + _num_characters(held_out) <= MAX_CHARACTERS
    tally.add(known)
    with open_indexes(in_memory=True, with_near=is_whole, with_eval=bool(held_out)) as indexes:
        together = Together(indexes)
        for record in train:
            tally.add(together.add(record))
        for record in held_out:
            together.hold_out(record)
            tally.add(quick_warnings(record))
        tally.add(overlaps(indexes.seen))
        tally.add(together.across())
        tally.add(together.whole())
    return QuickCheck(tally.groups(), together.noise, together.num_repeated, is_whole)


def _num_characters(records: Sequence[Record]) -> int:
    return sum(len(text) for record in records for _, text in texts_of(record).all())
