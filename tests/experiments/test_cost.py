"""Bills: what they add up to, and what becomes of them when a run is stopped."""

import json
from pathlib import Path

import pytest
from tests import tiny

from palate.experiments.cost import Cost, Ledger
from palate.models.roles import Roles


def cost(wall_s: float, *, sampled: int = 0) -> Cost:
    return Cost(
        wall_s=wall_s, flops={"train": 10 * wall_s, "score": 0.0, "sample": 5.0 * sampled},
        tokens_trained=100, tokens_sampled=sampled, peak_rss_bytes=int(wall_s),
        weights_resident_bytes=7, models_resident=1,
    )  # fmt: skip


def test_bills_add_up_and_the_larger_peak_stands() -> None:
    both = cost(2.0).plus(cost(3.0, sampled=4))
    assert both.wall_s == 5.0
    assert both.flops == {"train": 50.0, "score": 0.0, "sample": 20.0}
    assert (both.tokens_trained, both.tokens_sampled, both.peak_rss_bytes) == (200, 4, 3)


def test_a_shared_bill_divides_work_and_not_memory() -> None:
    share = cost(6.0, sampled=9).shared_by(3)
    assert (share.wall_s, share.tokens_sampled, share.flops["train"]) == (2.0, 3, 20.0)
    assert (share.peak_rss_bytes, share.models_resident) == (6, 1)


def test_a_bill_comes_back_from_json_and_half_a_bill_does_not() -> None:
    whole = cost(2.0)
    assert Cost.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    assert Cost.from_json({"wall_s": 2.0}) is None
    assert Cost.from_json(None) is None


def test_a_run_that_was_stopped_costs_what_all_its_processes_cost(tmp_path: Path) -> None:
    roles = Roles(tiny.llama(), tiny.tokenizer())
    first = Ledger(tmp_path, resume=False)
    with pytest.raises(KeyboardInterrupt), first.metered(roles) as begun:
        raise KeyboardInterrupt
    again = Ledger(tmp_path, resume=True)
    with again.metered(roles) as ended:
        pass
    total = again.total()
    assert total is not None
    assert total.wall_s == pytest.approx(begun.wall_s + ended.wall_s)
    assert total.peak_rss_bytes > 1_000_000


@pytest.mark.parametrize("left", [None, "[null]", "[{", "{}"], ids=str)
def test_the_bill_of_a_run_that_was_killed_is_unknown(tmp_path: Path, left: str | None) -> None:
    if left is not None:
        (tmp_path / "cost.json").write_text(left, encoding="utf-8")
    ledger = Ledger(tmp_path, resume=True)
    with ledger.metered(Roles(tiny.llama(), tiny.tokenizer())):
        pass
    assert ledger.total() is None
