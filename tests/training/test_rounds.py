from pathlib import Path

import pytest

from palate.data.trees import Response, Tree
from palate.errors import CheckpointError
from palate.training.folder import RunFolder
from palate.training.rounds import RoundPairs, read_round, write_round

PAIRS: RoundPairs = {
    4: [Tree((5, 6), (Response((7, 2)), Response((9, 9), stopped=False)), origin="row 1"), None],
    5: [Tree((8,), (Response((2,)), Response((3, 2))))],
}


def test_pairs_come_back_as_they_were(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_round(folder, 2, PAIRS)
    assert [path.name for path in folder.rounds.iterdir()] == ["round-002.jsonl"]
    assert read_round(folder, 2) == PAIRS


def test_lost_or_torn_pairs_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(CheckpointError, match="round 1 cannot be read.*--overwrite"):
        read_round(folder, 1)
    write_round(folder, 1, PAIRS)
    path = folder.rounds / "round-001.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match="round 1 cannot be read"):
        read_round(folder, 1)
