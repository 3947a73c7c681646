"""What records show one by one and all together: fed one at a time, in bounded memory.

The check of a file (survey.py) and the look before every training (quick.py) are both this.
"""

from collections.abc import Iterator
from itertools import islice

from palate.data.checks.across import contradictions, duplicates, near_duplicates, near_leaks
from palate.data.checks.content import content_warnings, quick_warnings
from palate.data.checks.indexes import Indexes
from palate.data.checks.lopsided import Lopsided
from palate.data.checks.profile import Profile
from palate.data.checks.seen import Fingerprint
from palate.data.checks.shortcuts import shortcut_faults, try_shortcuts
from palate.data.faults import Fault
from palate.data.records import Demonstration, Preference, Prompt
from palate.measures.estimate import Estimate
from palate.measures.noise import label_noise

Record = Prompt | Demonstration | Preference

# More comparisons than these would only make the interval of the label noise narrower.
_MAX_REPEATS = 100_000


class Together:
    """Gathers records to train on, and those to evaluate on.

    Args:
        indexes: empty ones; without an index of rows that are alike, near duplicates and languages
            are not looked for, which take as long as all the rest.

    Attributes:
        profile: lengths, languages and a sample.
        lopsided: who was longer, which labels were given.
        num_records: those to train on.
        num_repeated: comparisons that were made more than once, once `whole` has counted them.
        noise: the share of flipped labels, from those; None where they are too few.
        shortcuts: accuracy of trivial rules, once `whole` has tried them.
    """

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes
        self._num_seen = 0
        self._first = ""
        self.profile = Profile(languages=indexes.near is not None)
        self.lopsided = Lopsided()
        self.num_records = 0
        self.num_repeated = 0
        self.noise: Estimate | None = None
        self.shortcuts: dict[str, Estimate] = {}

    def add(self, record: Record, first_chosen: bool | None = None) -> list[Fault]:
        """Take in a record to train on; returns what it shows by itself.

        Args:
            record: any.
            first_chosen: whether the response that was shown first was chosen; None: not told.
        """
        self._first = self._first or record.origin
        marks = self._number(record)
        self.num_records += 1
        self.lopsided.add(record)
        self.profile.add(self._num_seen, record, rank=marks.prompt, first_chosen=first_chosen)
        if self._indexes.near is None:
            return quick_warnings(record)
        self._indexes.near.add(self._num_seen, record)
        return content_warnings(record)

    def hold_out(self, record: Record) -> None:
        """Take in a record to evaluate on."""
        self._number(record, held_out=True)

    def across(self) -> Iterator[Fault]:
        """Rows that repeat, contradict or nearly repeat another one."""
        seen, near, near_prompts = self._indexes
        yield from duplicates(seen)
        yield from contradictions(seen)
        if near is not None:
            yield from near_duplicates(near, seen)
        if near_prompts is not None:
            yield from near_leaks(near_prompts, seen)

    def whole(self) -> list[Fault]:
        """What is the matter with no single row; measures noise and shortcuts on the way."""
        if self.lopsided.num_pairs or self.lopsided.num_labelled:
            repeats = list(islice(self._indexes.seen.repeats(), _MAX_REPEATS))
            self.num_repeated = len(repeats)
            self.noise = label_noise(repeats) if len(repeats) >= 2 else None
        self.shortcuts = try_shortcuts(self.profile.sample())
        return [*self.lopsided.faults(), *shortcut_faults(self.shortcuts, origin=self._first)]

    def _number(self, record: Record, *, held_out: bool = False) -> Fingerprint:
        self._num_seen += 1
        if self._indexes.near_prompts is not None:
            self._indexes.near_prompts.add(self._num_seen, record, held_out=held_out)
        return self._indexes.seen.add(self._num_seen, record, held_out=held_out)
