"""The dictionary of losses against what the table beside it says of each."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from palate.training.loss_types import LOSS_TYPES
from palate.training.losses import LOSSES, Numbers, StepFacts, row_losses
from palate.training.settings import DPOSettings

# A value that differs from the default, for every setting that some loss reads.
CHANGES: dict[str, Any] = {
    "beta": 0.7,
    "label_smoothing": 0.2,
    "f_divergence_type": "js_divergence",
    "discopop_tau": 0.4,
    "simpo_gamma": 1.2,
    "cpo_alpha": 0.3,
    "desirable_weight": 2.0,
    "undesirable_weight": 2.0,
}
LENGTHS = torch.tensor([3, 5, 2, 7, 4, 4])


def _numbers(seed: int = 0) -> Numbers:
    generator = torch.Generator().manual_seed(seed)
    policy, drift = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    policy = -LENGTHS * (1 + policy.abs())
    return Numbers(
        policy=policy,
        reference=policy + drift,
        whole=policy,
        lengths=LENGTHS,
        desirable=torch.tensor([True, False] * 3),
        facts=StepFacts(mean_length=3.0, kl=0.3, shift=0.2),
    )


def _settings(name: str, **changes: Any) -> DPOSettings:
    smoothing = {"label_smoothing": 0.1} if name == "exo_pair" else {}
    return DPOSettings(loss_type=name, **(smoothing | changes))


def test_the_table_and_the_dictionary_have_the_same_names() -> None:
    assert list(LOSSES) == list(LOSS_TYPES)
    assert {name for kind in LOSS_TYPES.values() for name in kind.uses} == set(CHANGES)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_reads_the_settings_that_its_entry_names_and_no_other(name: str) -> None:
    numbers, settings = _numbers(), _settings(name)
    before = LOSSES[name](numbers, settings)
    assert before.shape == (3,)
    for setting, value in CHANGES.items():
        # Past the constructor, which refuses what has no effect.
        changed = replace(settings)
        object.__setattr__(changed, setting, value)
        after = LOSSES[name](numbers, changed)
        assert torch.equal(before, after) != (setting in LOSS_TYPES[name].uses), setting


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_compares_with_the_reference_where_its_entry_says_so(name: str) -> None:
    numbers, settings = _numbers(), _settings(name)
    moved = replace(numbers, reference=numbers.reference.flip(0))
    same = torch.equal(LOSSES[name](numbers, settings), LOSSES[name](moved, settings))
    assert same != LOSS_TYPES[name].reference


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_sums_or_means_over_tokens_as_its_entry_says(name: str) -> None:
    """Twice the tokens with twice the log-probability changes sums and leaves means alone."""
    numbers, settings = _numbers(), _settings(name)
    twice = replace(
        numbers,
        policy=2 * numbers.policy,
        reference=2 * numbers.reference,
        whole=2 * numbers.whole,
        lengths=2 * LENGTHS,
        facts=replace(numbers.facts, mean_length=6.0),
    )
    before, after = LOSSES[name](numbers, settings), LOSSES[name](twice, settings)
    if name == "sft":
        # A sum a row, over the step's mean length: nats a token once the step is averaged.
        torch.testing.assert_close(before, after)
        return
    means = LOSS_TYPES[name].tokens == "mean"
    assert torch.allclose(before, after, rtol=1e-12) == means
    longer = replace(numbers, lengths=LENGTHS + 3)
    assert torch.equal(before, LOSSES[name](longer, settings)) != means


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_its_rows_or_the_steps(name: str) -> None:
    """Scored one by one, rows have the losses that they have together, unless the loss sorts."""
    numbers, settings = _numbers(), _settings(name)
    together = LOSSES[name](numbers, settings)
    alone = torch.cat(
        [
            LOSSES[name](
                replace(
                    numbers,
                    **{
                        key: getattr(numbers, key)[start : start + 2]
                        for key in ("policy", "reference", "whole", "lengths", "desirable")
                    },
                ),
                settings,
            )
            for start in (0, 2, 4)
        ]
    )
    assert torch.allclose(together, alone) != (LOSS_TYPES[name].rows == "step")


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_asks_for_a_rows_margin_where_its_entry_says_so(name: str) -> None:
    numbers, settings = _numbers(), _settings(name)
    asked = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    before = LOSSES[name](numbers, settings)
    after = LOSSES[name](replace(numbers, asked=asked), settings)
    assert torch.equal(before, after) != LOSS_TYPES[name].margins
    assert before[0] == after[0]


def test_weights_of_several_losses() -> None:
    numbers = _numbers()
    both = DPOSettings(loss_type="hinge,apo_zero", loss_weights="2,0.5")
    torch.testing.assert_close(
        row_losses(numbers, both),
        2 * LOSSES["hinge"](numbers, both) + 0.5 * LOSSES["apo_zero"](numbers, both),
    )
