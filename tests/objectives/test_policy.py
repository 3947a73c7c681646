import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.objectives.policy import clipped_policy_loss, clipped_value_loss, entropy_surrogate


def test_published_numbers_of_rlax() -> None:
    # The third ratio is e⁻², so exactly −(0.3 + 0.2 + 0.1·e⁻²)/3 = −0.171178: the published
    # number carries the float32 rounding of its softmax.
    logits = torch.tensor([[1.0, 1, 1], [2, 0, 0], [-1, -2, -3]])
    old_logits = torch.tensor([[1.0, 1, 1], [2, 0, 0], [-3, -2, -1]])
    actions = torch.tensor([[0], [1], [2]])
    advantages = torch.tensor([0.3, 0.2, 0.1])
    logprobs = logits.log_softmax(-1).gather(1, actions).squeeze(1)
    old_logprobs = old_logits.log_softmax(-1).gather(1, actions).squeeze(1)
    for sign, expected in [(1, -0.17117467), (-1, 0.19333333)]:
        loss = clipped_policy_loss(
            logprobs=logprobs,
            old_logprobs=old_logprobs,
            advantages=sign * advantages,
            clip_range=0.2,
        )
        assert loss.losses.mean().item() == pytest.approx(expected, abs=1e-5)


def test_all_four_corners_by_hand() -> None:
    ratios = torch.tensor([1.5, 1.5, 0.5, 0.5])
    advantages = torch.tensor([2.0, -2.0, 2.0, -2.0])
    loss = clipped_policy_loss(
        logprobs=ratios.log(), old_logprobs=torch.zeros(4), advantages=advantages, clip_range=0.2
    )
    torch.testing.assert_close(loss.losses, torch.tensor([-2.4, 3.0, -1.0, 1.6]))
    torch.testing.assert_close(loss.ratios, ratios)
    assert loss.clipped.tolist() == [True, False, False, True]


def test_gradient_is_zero_exactly_where_clipped() -> None:
    logprobs = torch.tensor([1.5, 1.5, 0.5, 0.5]).log().requires_grad_()
    loss = clipped_policy_loss(
        logprobs=logprobs,
        old_logprobs=torch.zeros(4),
        advantages=torch.tensor([2.0, -2.0, 2.0, -2.0]),
        clip_range=0.2,
    )
    loss.losses.sum().backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None
    torch.testing.assert_close(logprobs.grad, torch.tensor([0.0, 3.0, -1.0, 0.0]))


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_on_policy_it_is_the_policy_gradient(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logprobs = -torch.rand(6, generator=generator, dtype=torch.float64).requires_grad_()
    logprobs = logprobs.detach().requires_grad_()
    advantages = torch.randn(6, generator=generator, dtype=torch.float64)
    loss = clipped_policy_loss(
        logprobs=logprobs,
        old_logprobs=logprobs.detach(),
        advantages=advantages,
        clip_range=0.2,
    )
    assert (loss.ratios == 1).all()
    assert not loss.clipped.any()
    torch.testing.assert_close(loss.losses, -advantages)
    loss.losses.sum().backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None
    torch.testing.assert_close(logprobs.grad, -advantages)


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_any_shape_and_gradcheck(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(5)
    logprobs = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    constants = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    assert torch.autograd.gradcheck(
        lambda x: (
            clipped_policy_loss(
                logprobs=x, old_logprobs=constants[0], advantages=constants[1], clip_range=0.2
            ).losses
        ),
        (logprobs,),
    )
    assert torch.autograd.gradcheck(
        lambda x: (
            clipped_value_loss(
                values=x, old_values=constants[0], returns=constants[1], clip_range_value=0.3
            ).losses
        ),
        (logprobs,),
    )


def test_extreme_ratios_stay_finite() -> None:
    logprobs = torch.tensor([1e4, 1e4, -1e4, -1e4], requires_grad=True)
    loss = clipped_policy_loss(
        logprobs=logprobs,
        old_logprobs=torch.zeros(4),
        advantages=torch.tensor([1.0, -1.0, 1.0, -1.0]),
        clip_range=0.2,
    )
    loss.losses.sum().backward()  # type: ignore[no-untyped-call]
    assert loss.losses.isfinite().all()
    assert logprobs.grad is not None
    assert logprobs.grad.isfinite().all()


def test_value_loss_by_hand() -> None:
    loss = clipped_value_loss(
        values=torch.tensor([1.0, 2.0, 2.0]),
        old_values=torch.tensor([1.0, 1.0, 1.0]),
        returns=torch.tensor([3.0, 3.0, 0.0]),
        clip_range_value=0.5,
    )
    # unmoved: (1−3)²; moved towards the return, clipped at 1.5: (1.5−3)²; moved away: (2−0)²
    torch.testing.assert_close(loss.losses, torch.tensor([4.0, 2.25, 4.0]) / 2)
    assert loss.clipped.tolist() == [False, True, False]


def test_value_loss_is_zero_at_the_return_and_finite_far_away() -> None:
    line = torch.tensor([0.3, -0.7])
    settled = clipped_value_loss(values=line, old_values=line, returns=line, clip_range_value=0.2)
    assert (settled.losses == 0).all()
    far = clipped_value_loss(
        values=torch.tensor([1e4, -1e4]),
        old_values=torch.zeros(2),
        returns=torch.zeros(2),
        clip_range_value=0.2,
    )
    assert far.losses.isfinite().all()


def test_clip_higher_lets_ratios_rise_further_than_fall() -> None:
    ratios = torch.tensor([1.25, 1.5, 0.75])
    advantages = torch.tensor([1.0, 1.0, -1.0])
    loss = clipped_policy_loss(
        logprobs=ratios.log(), old_logprobs=torch.zeros(3), advantages=advantages,
        clip_range=0.2, clip_range_high=0.28,
    )  # fmt: skip
    torch.testing.assert_close(loss.losses, torch.tensor([-1.25, -1.28, 0.8]))
    assert loss.clipped.tolist() == [False, True, True]


def test_the_entropy_surrogate_has_the_entropy_s_gradient_whatever_the_baseline() -> None:
    generator = torch.Generator().manual_seed(6)
    logits = torch.randn(1, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    policy = logits.log_softmax(-1)
    entropy = -(policy.exp() * policy).sum()
    (raised,) = torch.autograd.grad(entropy, logits, retain_graph=True)
    for baseline in (0.0, -1.3):
        losses = entropy_surrogate(logprobs=policy, baseline=baseline)
        (found,) = torch.autograd.grad(
            (policy.detach().exp() * losses).sum(), logits, retain_graph=True
        )
        torch.testing.assert_close(found, -raised)


def test_the_entropy_surrogate_by_hand() -> None:
    losses = entropy_surrogate(logprobs=torch.tensor([-1.0, -3.0]), baseline=-2.0)
    assert losses.tolist() == [0.5, 0.5]
