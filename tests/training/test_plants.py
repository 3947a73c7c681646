"""Some of the planted diseases, in the fast tier; all of them: `make diagnose-table`."""

from pathlib import Path

import pytest
from tests.training.plants import DISEASED, HEALTHY, Case, run

from palate.experiments.diagnose import Diagnosed

FAST = (
    "identical-pairs", "inactive-adapter", "wrong-reference", "barely-moves", "label-noise",
)  # fmt: skip
# Seeds that no threshold was set on.
SEED = 201


def _alarms(found: Diagnosed) -> set[str]:
    return {finding.name for finding in found.findings if finding.level != "note"}


@pytest.mark.parametrize(
    "case", [case for case in DISEASED if case.disease in FAST], ids=lambda case: case.disease
)
def test_a_planted_disease_is_found(case: Case, tmp_path: Path) -> None:
    assert case.disease in _alarms(run(case, "gpt2", SEED, tmp_path / "run"))


@pytest.mark.parametrize("case", [HEALTHY[1], HEALTHY[-1]], ids=lambda case: case.name)
def test_a_healthy_run_has_no_warning(case: Case, tmp_path: Path) -> None:
    assert _alarms(run(case, "gpt2", SEED, tmp_path / "run")) == set()
