"""TRL's own losses, recorded by benchmarks/witness_losses.py on random numbers, against ours."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from palate.objectives import (
    apo_zero_unpaired_loss,
    cpo_loss,
    kto_loss,
    length_desensitized,
    mismatched_kl,
    orpo_loss,
    simpo_loss,
    wpo_weights,
)
from palate.training.loss_types import LOSS_TYPES
from palate.training.losses import Numbers, StepFacts, row_losses
from palate.training.settings import DPOSettings

PATH = Path(__file__).resolve().parents[1] / "benchmarks/data/witness_losses_trl_1.16.0.json"
RECORD: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
GIVEN = RECORD["numbers"]
PAIRS = len(GIVEN["policy"]) // 2
LENGTHS = torch.tensor([len(row) for row in GIVEN["policy"]])


def _interleaved(values: Tensor) -> Tensor:
    """All chosen, then all rejected → pair by pair."""
    return values.view(2, PAIRS).t().flatten()


def _sums(role: str) -> Tensor:
    return torch.tensor([sum(row) for row in GIVEN[role]])


def _tails(role: str) -> Tensor:
    shared = LENGTHS.view(2, PAIRS).amin(0).repeat(2).tolist()
    return torch.tensor([sum(row[n:]) for row, n in zip(GIVEN[role], shared, strict=True)])


def _settings(case: dict[str, Any]) -> DPOSettings:
    values = RECORD["settings"] | case
    # TRL's default says None for "no weighting".
    return DPOSettings.from_mapping({k: v for k, v in values.items() if v is not None})


def _numbers(settings: DPOSettings) -> Numbers:
    weighted = {
        role: length_desensitized(
            logprobs=_sums(role), tail_logprobs=_tails(role), alpha=settings.ld_alpha
        )
        for role in ("policy", "reference")
    }
    return Numbers(
        policy=_interleaved(weighted["policy"]),
        reference=_interleaved(weighted["reference"]),
        whole=_interleaved(_sums("policy")),
        lengths=_interleaved(LENGTHS),
        desirable=torch.tensor([True, False] * PAIRS),
        facts=StepFacts(mean_length=float(LENGTHS[:PAIRS].float().mean())),
    )


def _weights(settings: DPOSettings) -> Tensor:
    if not settings.use_weighting:
        return torch.ones(PAIRS)
    aligned = _sums("policy") - _sums("log_collision")
    return wpo_weights(
        chosen_aligned=aligned[:PAIRS],
        rejected_aligned=aligned[PAIRS:],
        chosen_lengths=LENGTHS[:PAIRS],
        rejected_lengths=LENGTHS[PAIRS:],
    )


def _agree(ours: Tensor, theirs: list[float]) -> None:
    torch.testing.assert_close(ours, torch.tensor(theirs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", sorted(RECORD["pair"]))
def test_pairs(case: str) -> None:
    settings = _settings(RECORD["pair"][case]["settings"])
    ours = row_losses(_numbers(settings), settings) * _weights(settings)
    _agree(ours, RECORD["pair"][case]["values"])


@pytest.mark.parametrize("case", sorted(RECORD["batch"]))
def test_batches(case: str) -> None:
    settings = _settings(RECORD["batch"][case]["settings"])
    ours = row_losses(_numbers(settings), settings).mean()
    _agree(ours[None], [RECORD["batch"][case]["value"]])


def test_reference_free() -> None:
    sums, record = _sums("policy"), RECORD["reference_free"]
    pair: dict[str, Any] = {"chosen_logprobs": sums[:PAIRS], "rejected_logprobs": sums[PAIRS:]}
    means = sums / LENGTHS
    mean: dict[str, Any] = {
        "chosen_mean_logprobs": means[:PAIRS],
        "rejected_mean_logprobs": means[PAIRS:],
    }
    beta, gamma, values = RECORD["settings"]["beta"], record["simpo_gamma"], record["values"]
    _agree(cpo_loss(**pair, beta=beta), values["cpo"])
    _agree(cpo_loss(**pair, beta=beta, label_smoothing=0.1), values["cpo ε=0.1"])
    _agree(simpo_loss(**mean, beta=beta, gamma=gamma), values["simpo"])
    _agree(simpo_loss(**mean, beta=beta, gamma=gamma, label_smoothing=0.1), values["simpo ε=0.1"])
    _agree(orpo_loss(**mean, beta=beta), values["orpo"])


def test_single_responses() -> None:
    ratio = _sums("policy") - _sums("reference")
    shared: dict[str, Any] = {
        "log_ratio": ratio,
        "desirable": torch.arange(2 * PAIRS) < PAIRS,
        "beta": RECORD["settings"]["beta"],
    }
    kto, apo = RECORD["unpaired"]["kto"], RECORD["unpaired"]["apo_zero_unpaired"]
    shared["desirable_weight"], shared["undesirable_weight"] = kto["weights"]
    kl = mismatched_kl(log_ratio=torch.tensor(kto["kl_log_ratios"]))
    _agree(kto_loss(**shared, kl=kl), kto["values"])
    _agree(apo_zero_unpaired_loss(**shared), apo["values"])


def test_the_record_has_every_loss_that_trl_has() -> None:
    recorded = {
        name
        for part in ("pair", "batch")
        for case in RECORD[part].values()
        for name in case["settings"]["loss_type"].split(",")
    }
    own = {"cpo", "simpo", "orpo", "kto", "apo_zero_unpaired", "bco"}
    assert recorded == set(LOSS_TYPES) - own
    assert RECORD["versions"]["trl"] == "1.16.0"
