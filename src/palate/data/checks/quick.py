"""The part of the check that every training runs before it loads a model."""

from collections.abc import Iterable, Sequence

from palate.data.checks.across import contradictions, duplicates, overlaps
from palate.data.checks.content import quick_warnings
from palate.data.checks.lopsided import Lopsided
from palate.data.checks.seen import Seen
from palate.data.checks.tally import FaultGroup, Tally
from palate.data.faults import Fault
from palate.data.records import Demonstration, Preference, Prompt

Record = Prompt | Demonstration | Preference


def quick_check(
    train: Sequence[Record], held_out: Sequence[Record] = (), *, known: Iterable[Fault] = ()
) -> tuple[FaultGroup, ...]:
    """Look at rows in memory for what may spoil a training.

    Args:
        train: records to train on.
        held_out: records to evaluate on, which should share no prompt with them.
        known: faults that reading has found already.
    """
    tally, lopsided = Tally(), Lopsided()
    tally.add(known)
    with Seen() as seen:
        for number, record in enumerate(train):
            seen.add(number, record)
            lopsided.add(record)
            tally.add(quick_warnings(record))
        for number, record in enumerate(held_out, start=len(train)):
            seen.add(number, record, held_out=True)
            tally.add(quick_warnings(record))
        for find in (duplicates, contradictions, overlaps):
            tally.add(find(seen))
    tally.add(lopsided.faults())
    return tally.groups()
