"""Data that can be told apart by one look at all of it: length that decides, labels of one kind."""

from dataclasses import dataclass

from palate.data.faults import Fault, fault
from palate.data.records import Demonstration, Preference, Prompt

# Below this many rows, a one-sided share is no evidence.
MIN_ROWS = 20
MAX_SHARE = 0.9


@dataclass
class Lopsided:
    """Counts who was longer, and which labels were given.

    Attributes:
        num_pairs: pairs.
        num_longer: pairs whose chosen response is the longer one.
        num_unequal: pairs whose lengths in characters differ.
        num_desirable: responses that are labelled as desirable.
        num_labelled: responses with a label.
    """

    num_pairs: int = 0
    num_longer: int = 0
    num_unequal: int = 0
    num_desirable: int = 0
    num_labelled: int = 0
    _first: str = ""

    def add(self, record: Prompt | Demonstration | Preference) -> None:
        """Count a record."""
        self._first = self._first or record.origin
        if isinstance(record, Preference):
            self.num_pairs += 1
            self.num_longer += len(record.chosen) > len(record.rejected)
            self.num_unequal += len(record.chosen) != len(record.rejected)
        elif isinstance(record, Demonstration) and record.desirable is not None:
            self.num_desirable += record.desirable
            self.num_labelled += 1

    @property
    def longer_share(self) -> float | None:
        """How often the longer response is the chosen one, in [0, 1]; ½: length says nothing."""
        return self.num_longer / self.num_unequal if self.num_unequal else None

    @property
    def desirable_share(self) -> float | None:
        """How many of the labels are "desirable", in [0, 1]; None without labels."""
        return self.num_desirable / self.num_labelled if self.num_labelled else None

    def faults(self) -> list[Fault]:
        """Warn, at the first row, where over 90 % of at least 20 rows go one way."""
        found = []
        longer, desirable = self.longer_share, self.desirable_share
        if longer is not None and self.num_unequal >= MIN_ROWS and longer > MAX_SHARE:
            message = f"the longer response is chosen in {longer:.0%} of {self.num_unequal} pairs"
            found.append(fault("W408", message, origin=self._first))
        if desirable is not None and self.num_labelled >= MIN_ROWS:
            label, share = (True, desirable) if desirable > 0.5 else (False, 1 - desirable)
            if share > MAX_SHARE:
                message = f"{share:.0%} of {self.num_labelled} labels are {str(label).lower()}"
                found.append(fault("W418", message, origin=self._first))
        return found
