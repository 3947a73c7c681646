import math

import pytest
import torch

from palate.objectives.divergence import KL_ESTIMATORS, kl_exact, kl_k1, kl_k2, kl_k3


def test_hand_worked() -> None:
    policy = torch.tensor([math.log(0.5), math.log(0.2)])
    reference = torch.tensor([math.log(0.25), math.log(0.4)])
    k1 = kl_k1(logprobs=policy, reference_logprobs=reference)
    k2 = kl_k2(logprobs=policy, reference_logprobs=reference)
    k3 = kl_k3(logprobs=policy, reference_logprobs=reference)
    ln2 = math.log(2)
    torch.testing.assert_close(k1, torch.tensor([ln2, -ln2]))
    torch.testing.assert_close(k2, torch.tensor([ln2**2 / 2, ln2**2 / 2]))
    torch.testing.assert_close(k3, torch.tensor([0.5 - 1 + ln2, 2 - 1 - ln2]))


def test_exact_by_hand_and_direction() -> None:
    policy = torch.tensor([[0.5, 0.5]]).log()
    reference = torch.tensor([[0.9, 0.1]]).log()
    forward = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    backward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert kl_exact(policy_logits=policy, reference_logits=reference).item() == pytest.approx(
        forward
    )
    assert kl_exact(policy_logits=reference, reference_logits=policy).item() == pytest.approx(
        backward
    )


def test_k1_and_k3_average_to_the_exact_value_and_k2_does_not() -> None:
    generator = torch.Generator().manual_seed(1)
    policy_logits = torch.randn(1, 7, generator=generator, dtype=torch.float64)
    reference_logits = torch.randn(1, 7, generator=generator, dtype=torch.float64)
    policy = policy_logits.log_softmax(-1)[0]
    reference = reference_logits.log_softmax(-1)[0]
    exact = kl_exact(policy_logits=policy_logits, reference_logits=reference_logits)[0]
    weights = policy.exp()  # expectation over the policy's own samples
    k1 = (weights * kl_k1(logprobs=policy, reference_logprobs=reference)).sum()
    k2 = (weights * kl_k2(logprobs=policy, reference_logprobs=reference)).sum()
    k3 = (weights * kl_k3(logprobs=policy, reference_logprobs=reference)).sum()
    torch.testing.assert_close(k1, exact)
    torch.testing.assert_close(k3, exact)
    assert abs(k2 - exact) > 0.01


def test_shifting_logits_changes_nothing_and_equal_means_zero() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(5, 9, generator=generator)
    other = torch.randn(5, 9, generator=generator)
    assert (kl_exact(policy_logits=logits, reference_logits=logits) == 0).all()
    torch.testing.assert_close(
        kl_exact(policy_logits=logits + 3.0, reference_logits=other - 5.0),
        kl_exact(policy_logits=logits, reference_logits=other),
    )


def test_small_divergence_survives_large_logits() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = 10 * torch.randn(200, 500, generator=generator) + 30
    nudged = logits + 1e-3 * torch.randn(200, 500, generator=generator)
    single = kl_exact(policy_logits=logits, reference_logits=nudged)
    double = kl_exact(policy_logits=logits.double(), reference_logits=nudged.double())
    assert (single.double() - double).abs().max() < 3e-7


def test_excluded_tokens() -> None:
    policy = torch.tensor([[0.0, 0.0, -torch.inf]], requires_grad=True)
    wide = torch.tensor([[0.0, 0.0, 0.0]])
    narrow = torch.tensor([[0.0, -torch.inf, 0.0]])
    both = torch.tensor([[0.0, 0.0, -torch.inf]])
    divergence = kl_exact(policy_logits=policy, reference_logits=wide)
    assert divergence.item() == pytest.approx(math.log(1.5))
    divergence.sum().backward()  # type: ignore[no-untyped-call]
    assert policy.grad is not None
    assert policy.grad.isfinite().all()
    assert kl_exact(policy_logits=policy, reference_logits=narrow).item() == math.inf
    assert kl_exact(policy_logits=policy, reference_logits=both).item() == 0.0


def test_gradient_of_the_exact_value() -> None:
    generator = torch.Generator().manual_seed(4)
    policy = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda logits: kl_exact(policy_logits=logits, reference_logits=reference), (policy,)
    )


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_log_probabilities(size: float) -> None:
    zero, extreme = torch.zeros(1), torch.tensor([size])
    assert kl_k1(logprobs=extreme, reference_logprobs=zero).item() == size
    assert kl_k2(logprobs=extreme, reference_logprobs=zero).item() == size**2 / 2
    k3 = kl_k3(logprobs=extreme, reference_logprobs=zero).item()
    assert k3 == (size - 1 if size > 0 else math.inf)


def test_as_a_loss_k2_has_the_gradient_of_the_kl_k3_of_the_other_one_and_k1_none() -> None:
    """Means over the policy's own samples, exact: every token weighed by its probability."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(1, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    reference_logits = torch.randn(1, 6, generator=generator, dtype=torch.float64)
    reference = reference_logits.log_softmax(-1)[0]

    def mean_gradient(name: str) -> torch.Tensor:
        policy = logits.log_softmax(-1)[0]
        losses = KL_ESTIMATORS[name](logprobs=policy, reference_logprobs=reference)
        return torch.autograd.grad((policy.detach().exp() * losses).sum(), logits)[0]

    reverse = kl_exact(policy_logits=logits, reference_logits=reference_logits).sum()
    forward = kl_exact(policy_logits=reference_logits, reference_logits=logits).sum()
    right, other = (torch.autograd.grad(kl, logits)[0] for kl in (reverse, forward))
    torch.testing.assert_close(mean_gradient("k1"), torch.zeros_like(right))
    torch.testing.assert_close(mean_gradient("k2"), right)
    torch.testing.assert_close(mean_gradient("k3"), other)
    assert (right - other).abs().max() > 0.05
