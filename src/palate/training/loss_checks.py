"""What settings of the DPO family say against each other, and what of them has no effect.

No torch, and nothing of a loss but its entry in `loss_types.py`.
"""

from typing import TYPE_CHECKING

from palate.errors import RecipeError
from palate.training.loss_types import ANY_DIVERGENCE, LOSS_TYPES

if TYPE_CHECKING:
    from palate.training.settings import DPOSettings

# (1 − log 2)/3: with a narrower blend discopop's slope at margin 0 is positive.
WRONG_WAY_TAU = 0.102


def refuse_contradictions(s: "DPOSettings") -> None:
    """Refuse settings that exclude each other.

    Raises:
        RecipeError: names both, and what to do.
    """
    names = [name for name, _ in s.losses]
    if s.label_smoothing and not s.uses("label_smoothing"):
        raise RecipeError(
            f"label_smoothing is {s.label_smoothing}, but the {s.loss_type} loss has no "
            "noise model; set it to 0, or take loss_type sigmoid or robust"
        )
    if "exo_pair" in names and not s.label_smoothing:
        raise RecipeError(
            "label_smoothing is 0, but loss_type exo_pair compares with a label that has some "
            "doubt; set it above 0 (the paper takes 1e-3)"
        )
    strange = sorted(set(names) - ANY_DIVERGENCE - {"sft"})
    if s.f_divergence_type != "reverse_kl" and strange:
        raise RecipeError(
            f"f_divergence_type is {s.f_divergence_type}, but loss_type {strange[0]} does "
            "not compare two responses of one prompt, so the divergence's constant would stay; "
            f"take reverse_kl, or {', '.join(sorted(ANY_DIVERGENCE))}"
        )
    if s.use_weighting and s.couples_rows:
        raise RecipeError(
            f"use_weighting is on, but loss_type {s.loss_type} sorts the step's pairs, so "
            "that no loss belongs to one pair; turn it off, or take another loss"
        )


def cautions(s: "DPOSettings") -> list[str]:
    """A sentence for each setting that was changed and has no effect, or does not what it seems."""
    found = []
    for name in ("beta", "discopop_tau", "simpo_gamma", "cpo_alpha", "desirable_weight",
                 "undesirable_weight"):  # fmt: skip
        if s.changed(name) and not s.uses(name):
            users = [n for n, kind in LOSS_TYPES.items() if name in kind.uses]
            which = f"only {', '.join(users)} read it" if len(users) < 9 else "it has no scale"
            found.append(f"{name} has no effect with loss_type {s.loss_type}: {which}")
    if s.changed("f_alpha_divergence_coef") and s.f_divergence_type != "alpha_divergence":
        found.append(
            "f_alpha_divergence_coef has no effect: f_divergence_type is "
            f"{s.f_divergence_type}, not alpha_divergence"
        )
    if s.f_divergence_type != "reverse_kl" and not s.uses("f_divergence_type"):
        found.append(
            f"f_divergence_type has no effect: loss_type {s.loss_type} compares no two responses"
        )
    if s.changed("loss_weights") and len(s.losses) == 1:
        found.append("loss_weights of a single loss only scales the gradient")
    for name in ("ref_model_mixup_alpha", "ref_model_sync_steps"):
        if s.changed(name) and not s.sync_ref_model:
            found.append(f"{name} has no effect: sync_ref_model is off")
    if s.sync_ref_model and not s.needs_reference:
        found.append(f"sync_ref_model has no effect: loss_type {s.loss_type} has no reference")
    if s.ld_alpha != 1 and all(name == "sft" for name, _ in s.losses):
        found.append("ld_alpha has no effect: the sft loss counts every token of a response")
    if s.names("discopop") and s.discopop_tau < WRONG_WAY_TAU:
        found.append(
            f"discopop_tau is {s.discopop_tau}: below {WRONG_WAY_TAU} discopop rises at the "
            "reference, so that pairs are first pushed the wrong way (docs/papers.md)"
        )
    return found
