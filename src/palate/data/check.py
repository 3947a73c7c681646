"""What `palate check` says of a file: every fault by kind, and what the rows are like."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from palate.data.checks.clean import REJECTS, write_clean
from palate.data.checks.profile import Lengths
from palate.data.checks.survey import Limit, Survey, survey
from palate.data.checks.tally import FaultGroup
from palate.data.faults import Fault
from palate.data.layout import AS_THEY_SAY, Layout
from palate.measures.estimate import Estimate

__all__ = ["CheckReport", "FaultGroup", "Lengths", "Limit", "check_data", "clean_data"]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found in a file.

    Attributes:
        path: the file.
        format: the name of its rows' format, "" where no row is usable.
        num_rows: rows met.
        num_good: rows without an error.
        num_records: pairs, responses or prompts in the good rows.
        num_distinct_prompts: among them.
        faults: by kind, errors first, then by code.
        lengths: by part (prompt, chosen, rejected, response: characters; tokens: of a row's prompt
            and longer response, with a tokenizer alone).
        languages: by part, the share of texts in each language that was told.
        share_chosen_longer: in [0, 1], of the pairs whose lengths differ; None without any.
        share_desirable: in [0, 1], of the labels; None without any.
        num_repeated: comparisons that were made more than once.
        label_noise: the share of flipped labels, from those; None where they are too few.
        shortcuts: accuracy of trivial rules on at most 1,000 pairs.
    """

    path: str
    format: str
    num_rows: int
    num_good: int
    num_records: int
    num_distinct_prompts: int
    faults: tuple[FaultGroup, ...]
    lengths: Mapping[str, Lengths]
    languages: Mapping[str, Mapping[str, float]]
    share_chosen_longer: float | None
    share_desirable: float | None
    num_repeated: int
    label_noise: Estimate | None
    shortcuts: Mapping[str, Estimate]

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


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What was found in a file, and what became of its rows.

    Attributes:
        report: of the file.
        num_kept: rows in the clean file.
        num_dropped: rows in the file of rejects.
        rejects: that file.
    """

    report: CheckReport
    num_kept: int
    num_dropped: int
    rejects: Path


def check_data(
    path: str | Path,
    *,
    eval_path: str | Path | None = None,
    layout: Layout = AS_THEY_SAY,
    limit: Limit | None = None,
    told: Callable[[Fault], None] = lambda _: None,
) -> CheckReport:
    """Read a source and report all that is wrong with it, refusing nothing.

    Args:
        path: whatever palate.data.files reads.
        eval_path: rows that must share no prompt with `path`; their own faults count too.
        layout: what a person says of the rows of both.
        limit: a tokenizer and max_length: adds what they make of the rows.
        told: is told every fault with its place, of which the report keeps the first five a kind.

    Raises:
        DataError: a file is missing, a folder, damaged or of another kind.
    """
    return _report(path, survey(path, eval_path=eval_path, layout=layout, limit=limit, told=told))


def clean_data(
    path: str | Path,
    output: str | Path,
    *,
    eval_path: str | Path | None = None,
    layout: Layout = AS_THEY_SAY,
    limit: Limit | None = None,
    drop: Collection[str] = (),
    told: Callable[[Fault], None] = lambda _: None,
) -> CleanReport:
    """Check a source, and write its usable rows to a file of JSON lines; it is read twice.

    Rows with an error go to `rejects.jsonl` beside the output, from which they can be read again
    once mended; so do training rows whose prompt is evaluated on.

    Args:
        path: as in `check_data`, but not standard input.
        output: the new file.
        eval_path: as in `check_data`.
        layout: as in `check_data`.
        limit: as in `check_data`.
        drop: codes of warnings whose rows are to go too.
        told: as in `check_data`.

    Raises:
        DataError: as `check_data`.
        UsageError: the output cannot be written.
    """
    found = survey(path, eval_path=eval_path, layout=layout, limit=limit, drop=drop, told=told)
    cleaned = write_clean(path, Path(output), layout=layout, dropped=found.dropped)
    rejects = Path(output).with_name(REJECTS)
    return CleanReport(_report(path, found), cleaned.num_kept, cleaned.num_dropped, rejects)


def _report(path: str | Path, found: Survey) -> CheckReport:
    rows = found.together
    return CheckReport(
        path=str(path),
        format=found.format,
        num_rows=found.num_rows,
        num_good=found.num_good,
        num_records=rows.num_records,
        num_distinct_prompts=found.num_prompts,
        faults=found.tally.groups(),
        lengths=rows.profile.lengths(),
        languages=rows.profile.languages(),
        share_chosen_longer=rows.lopsided.longer_share,
        share_desirable=rows.lopsided.desirable_share,
        num_repeated=rows.num_repeated,
        label_noise=rows.noise,
        shortcuts=rows.shortcuts,
    )
