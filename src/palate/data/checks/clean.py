"""A file's usable rows into a new file, and the others into one from which they can be mended."""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from palate.data.checks.reading import open_source
from palate.data.faults import FAULTS, Fault
from palate.data.layout import Layout
from palate.errors import UsageError

REJECTS = "rejects.jsonl"


class Cleaned(NamedTuple):
    """Rows that were written to a clean file, and rows that went to the rejects."""

    num_kept: int
    num_dropped: int


def write_clean(
    path: str | Path, output: Path, *, layout: Layout, dropped: Mapping[str, Fault]
) -> Cleaned:
    """Write the rows that are not dropped, as they stand, as JSON lines; both files appear whole.

    Args:
        path: what is read.
        layout: how it is read.
        output: the new file; the rejects go to `rejects.jsonl` beside it.
        dropped: by place, why a row is to go.
        layout: what a person says of the rows; renamed columns are written under their new names.

    Raises:
        UsageError: a file cannot be written.
    """
    targets = (output, output.with_name(REJECTS))
    drafts = [target.with_name(f"{target.name}.part") for target in targets]
    num_kept = num_dropped = 0
    try:
        with (
            drafts[0].open("w", encoding="utf-8") as kept,
            drafts[1].open("w", encoding="ascii") as rejected,
        ):
            for row in open_source(path, layout).rows:
                why = dropped.get(row.origin)
                if why is None:
                    num_kept += 1
                    kept.write(json.dumps(row.content, ensure_ascii=False, default=str) + "\n")
                else:
                    num_dropped += 1
                    reject = {"origin": row.origin, "code": why.code, "message": why.message}
                    rejected.write(json.dumps(reject | {"row": row.content}, default=str) + "\n")
        for draft, target in zip(drafts, targets, strict=True):
            os.replace(draft, target)  # noqa: PTH105 - the atomic call, by its name
    except OSError as error:
        raise UsageError(
            f"--write-clean {output}: cannot be written ({error.strerror}); choose another file"
        ) from None
    finally:
        for draft in drafts:
            with suppress(OSError):  # above it may stand a file in a folder's place
                draft.unlink()
    return Cleaned(num_kept, num_dropped)


def check_targets(path: str, output: str | None, *, drop: Collection[str], overwrite: bool) -> None:
    """Refuse, before the work, codes that no warning has, and outputs that would replace a file.

    Raises:
        UsageError: as said.
    """
    if output is None:
        if drop:
            raise UsageError("--drop says what --write-clean leaves out; give that too")
        return
    warnings = [code for code, kind in FAULTS.items() if kind.severity == "warning"]
    if wrong := next((code for code in drop if code not in warnings), None):
        raise UsageError(f"--drop {wrong}: it must be one of {', '.join(warnings)}")
    targets = (Path(output), Path(output).with_name(REJECTS))
    for target in targets:
        if target.resolve() == Path(path).resolve():
            raise UsageError(
                f"--write-clean {output}: this would write {target}, which is being read; choose a "
                "file in another folder"
            )
    if not overwrite and (there := [str(target) for target in targets if target.exists()]):
        raise UsageError(
            f"--write-clean {output}: {' and '.join(there)} would be replaced; choose a file in "
            "another folder, or replace with --overwrite"
        )
