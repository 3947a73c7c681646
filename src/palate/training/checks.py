"""What must hold before and after the first backward; where it does not, training stops.

Step-0 identities: a policy that was declared equal to its reference gives the same numbers, so the
DPO margin is 0, its loss ln 2 and the KL 0; and the policy that learns first is the one that was
sampled from, so the PPO ratio is 1, whatever the reference. The commonest cause of a break is the
wrong reference: an SFT adapter that the policy has and the reference has not.
"""

import logging
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from palate.errors import GateError, NumericalError
from palate.models.roles import Roles

log = logging.getLogger("palate")
# Policy and reference, nats a response. Both go through one forest, where equal weights gave equal
# bits (Llama and GPT-2 of 2 and 6 layers, both precisions, on a CPU); the allowance is for kernels
# that add in an order of their own. A LoRA B of spread 0.001 moved a response by 0.07 to 0.5.
STEP_ZERO_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
# New and old policy, nats a token, root mean square. Other micro-batches of the same rows gave at
# most 4e-7 in float32 and 1.5e-3 in bfloat16 (hidden rows rounded at 2⁻⁸); sampling at temperature
# 0.9 and scoring at 1 gave 0.04 to 0.2, dropout 0.05 on a trained adapter 0.01 to 0.1.
RATIO_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}


def check_step_zero(*, policy: Tensor, reference: Tensor, dtype: torch.dtype, what: str) -> None:
    """Policy and reference log-probabilities [response] must agree before any update.

    Raises:
        GateError: they do not; the message says by how much and the likely cause.
    """
    tolerance = STEP_ZERO_TOLERANCE.get(dtype, STEP_ZERO_TOLERANCE[torch.float32])
    # A sum of many tokens is rounded more coarsely than one of few.
    scale = 1.0 + float(reference.abs().max()) / 100
    gap = float((policy - reference).abs().max())
    if not math.isfinite(gap) or gap > tolerance * scale:
        raise GateError(
            f"{what}: policy and reference differ by {gap:.4g} nats a response before any update, "
            f"where they must be equal (tolerance {tolerance * scale:.2g}; DPO's loss would not "
            "start at ln 2 = 0.6931). Likely: the model carries an SFT adapter that the reference "
            "lacks; give the adapter folder as the model, or merge it first",
            finding="wrong-reference",
        )


def check_ratio_one(
    *, logprobs: Tensor, old_logprobs: Tensor, dtype: torch.dtype, what: str = "PPO"
) -> None:
    """Before any update the policy [target] is the one that was sampled from: its ratio is 1.

    Raises:
        GateError: it is not; the message says by how much and the likely causes.
    """
    tolerance = RATIO_TOLERANCE.get(dtype, RATIO_TOLERANCE[torch.float32])
    gap = float((logprobs.detach() - old_logprobs).square().mean().sqrt())
    if not gap <= tolerance:
        raise GateError(
            f"{what}: new and old log-probabilities differ by {gap:.4g} nats a token (root mean "
            f"square) before any update, where their ratio must be 1 (tolerance {tolerance:.2g}). "
            "Likely: dropout is on while the policy learns (set lora_dropout to 0; of a loaded "
            "adapter, in its adapter_config.json), the rollout was scored at another temperature, "
            "or in another dtype"
        )


@dataclass(frozen=True)
class GradientReport:
    """Norm of the gradient by role, and trainable tensors that no token reached."""

    norms: dict[str, float]
    unreached: tuple[str, ...]


def check_gradients(roles: Roles, trained: tuple[str, ...]) -> GradientReport:
    """After the first backward: trained tensors have finite gradients, frozen ones have none.

    At LoRA's start B is zero, so A has no gradient yet while B has one, and a head of zeros lets
    none through to what is below it: a role's norm must be above zero, a single tensor's need not.

    Raises:
        GateError: a role has no gradient at all, or a frozen tensor has one.
        NumericalError: a gradient is not finite.
    """
    norms, unreached = {}, []
    mine: set[int] = set()
    for name in trained:
        squares, head = 0.0, roles[name].head
        starts_at_zero = head is not None and not bool(head.weight.any())
        for key, parameter in roles.parameters(name).items():
            mine.add(id(parameter))
            gradient = parameter.grad
            if gradient is None or not bool(gradient.any()):
                if "lora_A" not in key and not starts_at_zero:
                    unreached.append(f"{name}: {key}")
                continue
            square = float(gradient.double().square().sum())
            if not math.isfinite(square):
                raise NumericalError(f"the gradient of {name}'s {key} is not finite")
            squares += square
        norms[name] = math.sqrt(squares)
        if squares == 0.0:
            raise GateError(
                f"no gradient reached the {name} role: every pair may be identical, every response "
                "may have the same reward, or its adapter is not active",
                finding="no-gradient",
            )
    for trunk in {id(roles[n].trunk): roles[n].trunk for n in trained}.values():
        for key, parameter in trunk.model.named_parameters():
            if id(parameter) not in mine and parameter.grad is not None:
                raise GateError(f"a frozen tensor has a gradient: {key}")
    if unreached:
        log.warning(
            "no token reached %d trainable tensors: %s", len(unreached), ", ".join(unreached[:8])
        )
    return GradientReport(norms, tuple(unreached))
