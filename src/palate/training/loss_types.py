"""The names that `loss_type` takes, and what is known of each loss before any tensor exists.

The functions behind the names are in `training/losses.py`; this table needs no torch, so that
settings and help can be checked without it.
"""

import difflib
from dataclasses import dataclass, field
from typing import Literal

from palate.errors import RecipeError

_MARGIN = frozenset({"beta", "f_divergence_type"})
_SMOOTH = _MARGIN | {"label_smoothing"}
_LABELLED = frozenset({"beta", "desirable_weight", "undesirable_weight"})


@dataclass(frozen=True)
class LossType:
    """What a loss looks at.

    Attributes:
        uses: settings of the family that change it, besides those that work on every loss.
        tokens: whether log-probabilities are sums or means over a response's tokens.
        reference: whether it compares with the reference.
        margins: whether it asks for the lead that a row's `margin` column states.
        rows: "pair" by pair, the whole "step" at once, or single labelled "response"s (of which a
            pair is two).
    """

    uses: frozenset[str]
    tokens: Literal["sum", "mean"] = "sum"
    reference: bool = True
    margins: bool = False
    rows: Literal["pair", "step", "response"] = field(default="pair")


LOSS_TYPES: dict[str, LossType] = {
    "sigmoid": LossType(_SMOOTH, margins=True),
    "robust": LossType(_SMOOTH, margins=True),
    "exo_pair": LossType(_SMOOTH, margins=True),
    "hinge": LossType(_MARGIN, margins=True),
    "discopop": LossType(_MARGIN | {"discopop_tau"}, margins=True),
    "ipo": LossType(_MARGIN, tokens="mean"),
    "sigmoid_norm": LossType(_SMOOTH, tokens="mean", margins=True),
    "nca_pair": LossType(frozenset({"beta"})),
    "bco_pair": LossType(frozenset({"beta"})),
    "sppo_hard": LossType(frozenset({"beta"})),
    "apo_zero": LossType(frozenset({"beta"})),
    "apo_down": LossType(frozenset({"beta"})),
    "aot": LossType(frozenset({"beta", "label_smoothing"}), rows="step"),
    "aot_unpaired": LossType(frozenset({"beta", "label_smoothing"}), rows="step"),
    "sft": LossType(frozenset(), reference=False),
    "cpo": LossType(frozenset({"beta", "label_smoothing", "cpo_alpha"}), reference=False),
    "simpo": LossType(
        frozenset({"beta", "label_smoothing", "simpo_gamma"}), tokens="mean", reference=False
    ),
    "orpo": LossType(frozenset({"beta"}), tokens="mean", reference=False),
    "kto": LossType(_LABELLED, rows="response"),
    "apo_zero_unpaired": LossType(_LABELLED, rows="response"),
    "bco": LossType(_LABELLED, rows="response"),
}
# Losses that see a difference of two responses of one prompt, where f's constant cancels.
ANY_DIVERGENCE = frozenset(n for n, t in LOSS_TYPES.items() if "f_divergence_type" in t.uses)


# What the losses are called elsewhere, where the nearest spelling would be another loss.
ELSEWHERE = {
    "dpo": "sigmoid", "cdpo": "sigmoid, with label_smoothing", "rdpo": "robust", "slic": "hinge",
    "sppo": "sppo_hard", "nca": "nca_pair", "exo": "exo_pair", "apo": "apo_zero, or apo_down",
    "aot_pair": "aot", "kto_pair": "kto", "wpo": "sigmoid, with use_weighting",
    "ld_dpo": "sigmoid, with ld_alpha", "tr_dpo": "sigmoid, with sync_ref_model",
}  # fmt: skip
_COMMANDS = {
    "reward": "palate reward", "ppo": "palate ppo", "rloo": "palate online --method rloo",
    "grpo": "palate online --method grpo", "online-dpo": "palate online --method online-dpo",
}  # fmt: skip


def _named_elsewhere(name: str) -> str:
    key = name.lower()
    if key in _COMMANDS:
        return f"it is no loss of pairs but a method of its own: {_COMMANDS[key]}"
    key = key.replace("-", "_")
    return f"here it is {ELSEWHERE[key]}" if key in ELSEWHERE else ""


def loss_names(text: str) -> tuple[str, ...]:
    """The losses of a comma-separated `loss_type`.

    Raises:
        RecipeError: one is unknown (the nearest is named) or stands twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in LOSS_TYPES:
            near = difflib.get_close_matches(name, LOSS_TYPES, n=1, cutoff=0.6)
            guess = (
                f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(LOSS_TYPES)}"
            )
            hint = _named_elsewhere(name) or guess
            raise RecipeError(f"loss_type is {name!r}, which is unknown; {hint}")
        if names.count(name) > 1:
            raise RecipeError(f"loss_type names {name!r} twice; name it once, with its own weight")
    return names


def loss_weights(text: str, names: tuple[str, ...]) -> tuple[float, ...]:
    """The comma-separated weights of as many losses; "1" weighs them all alike.

    Raises:
        RecipeError: there are not as many as losses, or one is not a number above 0.
    """
    if text == "1":
        return (1.0,) * len(names)
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise RecipeError(
            f"loss_weights is {text!r}; give numbers, comma separated, one a loss"
        ) from None
    if len(weights) != len(names):
        raise RecipeError(
            f"loss_weights has {len(weights)} numbers and loss_type {len(names)} losses "
            f"({', '.join(names)}); give one a loss"
        )
    if not all(0 < weight < float("inf") for weight in weights):
        raise RecipeError(f"loss_weights is {text!r}; every weight must be above 0 and finite")
    return weights
