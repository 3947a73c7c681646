"""Lines of a log: what is read, what is passed over, and that both readers agree."""

import json
from typing import Any

import numpy as np
import pytest

from palate.experiments.live import rows
from palate.experiments.live.rows import Block, read_rows


def lines_of(*content: Any) -> bytes:
    return b"".join(
        (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in content
    )


def plainly(block: Block) -> dict[str, tuple[list[float], list[float]]]:
    return {name: (x.tolist(), y.tolist()) for name, (x, y) in block.columns.items()}


def test_metrics_come_with_the_steps_of_their_rows() -> None:
    block = read_rows(
        lines_of({"step": 2, "loss": 0.5}, {"step": 4, "loss": 1, "kl": 0.25}, {"step": 4, "kl": 3})
    )
    assert plainly(block) == {"loss": ([2, 4], [0.5, 1]), "kl": ([4, 4], [0.25, 3])}
    assert block.num_bad == 0


BAD = [
    b"{", b"not json", b"[1, 2]", b"null", b'"step"', b"\xff\xfe", b'{"loss": 1}', b"\x00",
    b'{"step": "3", "loss": 1}', b'{"step": null, "loss": 1}', b'{"step": NaN, "loss": 1}',
    b'{"step": true, "loss": 1}', b"[" * 100_000, b'{"step": 1' + b"0" * 400 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
@pytest.mark.parametrize("is_long", [False, True])
def test_a_bad_line_costs_itself_alone(bad: bytes, is_long: bool) -> None:
    good = [{"step": n, "loss": n / 2} for n in range(5000 if is_long else 3)]
    content = lines_of(*good[:2], bad, *good[2:])
    assert (len(content) > rows._FEW_BYTES) is is_long or len(bad) > 1000
    block = read_rows(content)
    steps = [float(row["step"]) for row in good]
    assert plainly(block) == {"loss": (steps, [step / 2 for step in steps])}
    assert block.num_bad == 1


def test_values_that_are_no_finite_numbers_are_left_out() -> None:
    strange = (
        b'{"step": 1, "a": NaN, "b": Infinity, "c": "x", "d": [1], "e": null, "f": true, "g": 2}'
    )
    huge = b'{"step": 2, "h": 1' + b"0" * 400 + b', "' + b"n" * 81 + b'": 1}'
    block = read_rows(lines_of(strange, huge))
    assert plainly(block) == {"g": ([1], [2])}


@pytest.mark.parametrize(
    "last",
    [{"step": 6000, "loss": 2}, {"step": 6000, "new": 1.5}, {"step": 6000, "loss": None},
     {"step": 6000, "note": "text"}, {"step": 6000.0, "loss": 1e300}, {"step": 6000}],
)  # fmt: skip
def test_a_long_block_is_read_as_row_by_row(last: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    many = [{"step": n, "loss": float(rng.normal()), "kl": n} for n in range(5000)]
    content = lines_of(*many, last)
    assert len(content) > rows._FEW_BYTES
    assert plainly(read_rows(content)) == plainly(rows._by_rows(content))
    assert rows._by_columns(content) is not None
