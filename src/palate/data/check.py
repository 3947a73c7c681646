"""What `palate check` says of a file of pairs: every fault by kind, and a few numbers."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from statistics import fmean, median

from palate.data.faults import (
    FAULTS,
    Fault,
    find_contradictions,
    find_duplicates,
    find_length_shortcut,
    find_overlap,
    longer_share,
)
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.records import Text, prompt_key
from palate.data.sources import survey_preferences

MAX_PLACES = 5


@dataclass(frozen=True, slots=True)
class FaultGroup:
    """All faults of one kind.

    Attributes:
        code: a key of FAULTS.
        severity: "error" or "warning".
        title: the kind in words.
        fix: what to do about it.
        count: how many there are.
        places: the first five.
    """

    code: str
    severity: str
    title: str
    fix: str
    count: int
    places: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of texts in characters; p95 is the least length that 95 % do not exceed."""

    mean: float
    median: float
    p95: int


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found in a file of pairs.

    Attributes:
        path: the file.
        format: the name of its rows' format, "" where no row is usable.
        num_rows: rows met.
        num_good: rows without an error.
        faults: by kind, errors first, then by code.
        prompt_lengths: over good rows, as the other lengths; None without any.
        chosen_lengths: see above.
        rejected_lengths: see above.
        share_chosen_longer: in [0, 1], of the pairs whose lengths differ; None without any.
        num_distinct_prompts: among good rows.
    """

    path: str
    format: str
    num_rows: int
    num_good: int
    faults: tuple[FaultGroup, ...]
    prompt_lengths: Lengths | None
    chosen_lengths: Lengths | None
    rejected_lengths: Lengths | None
    share_chosen_longer: float | None
    num_distinct_prompts: int

    @property
    def num_errors(self) -> int:
        """Number of faults that make a row unusable."""
        return sum(group.count for group in self.faults if group.severity == "error")

    @property
    def num_warnings(self) -> int:
        """Number of faults that ask for a look."""
        return sum(group.count for group in self.faults if group.severity == "warning")

    def to_json(self) -> dict[str, object]:
        """Give the report as plain JSON values."""
        report: dict[str, object] = asdict(self)
        report |= {"num_errors": self.num_errors, "num_warnings": self.num_warnings}
        return report


def check_preferences(
    path: str | Path, *, eval_path: str | Path | None = None, layout: Layout = AS_THEY_SAY
) -> CheckReport:
    """Read a file of pairs and report all that is wrong with it, refusing nothing.

    Args:
        path: the file, or a saved `datasets` folder.
        eval_path: pairs that must share no prompt with `path`; their own faults count too.
        layout: what is known of the rows of both beforehand.

    Raises:
        DataError: a file is missing, a folder, damaged or of another kind.
    """
    reading = survey_preferences(path, layout=layout)
    pairs = reading.records
    faults = [*reading.faults, *find_duplicates(pairs), *find_contradictions(pairs)]
    faults += find_length_shortcut(pairs)
    if eval_path is not None:
        evaluation = survey_preferences(eval_path, layout=layout)
        faults += evaluation.faults
        faults += find_overlap(train=pairs, evaluation=evaluation.records)
    return CheckReport(
        path=str(path),
        format=reading.format,
        num_rows=reading.num_read,
        num_good=reading.num_read - reading.num_skipped,
        faults=_group(faults),
        prompt_lengths=_measure(_num_characters(pair.prompt) for pair in pairs),
        chosen_lengths=_measure(len(pair.chosen) for pair in pairs),
        rejected_lengths=_measure(len(pair.rejected) for pair in pairs),
        share_chosen_longer=longer_share(pairs)[0],
        num_distinct_prompts=len({prompt_key(pair.prompt) for pair in pairs}),
    )


def _group(faults: Iterable[Fault]) -> tuple[FaultGroup, ...]:
    by_code: dict[str, list[Fault]] = defaultdict(list)
    for found in faults:
        by_code[found.code].append(found)
    return tuple(
        FaultGroup(
            code=code,
            severity=FAULTS[code].severity,
            title=FAULTS[code].title,
            fix=FAULTS[code].fix,
            count=len(group),
            places=tuple(group[:MAX_PLACES]),
        )
        for code, group in sorted(by_code.items())  # E sorts before W
    )


def _measure(lengths: Iterable[int]) -> Lengths | None:
    ordered = sorted(lengths)
    if not ordered:
        return None
    p95 = ordered[ceil(0.95 * len(ordered)) - 1]
    return Lengths(mean=fmean(ordered), median=float(median(ordered)), p95=p95)


def _num_characters(prompt: Text) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(len(turn.content) for turn in prompt)
