"""Runs that do not learn, each cause told apart, and runs that learn from the wrong start."""

from palate.measures.findings.curves import RECENT, Curves, Point
from palate.measures.findings.finding import Rule, Sighting

# Nats a response: what rounding of float32 sums gives a policy that stands still; its KL, which is
# of one forest scored twice, is exactly 0.
STANDING_STILL, STILL_KL = 1e-5, 1e-12
# Nats a response by which policy and reference have parted after half of the run.
BARELY = 0.2
BARELY_KL = 0.005
HALF = 0.5
# Peak step size below which no weight of a usual size changes, in any precision.
NO_STEP = 1e-12
# Share of weights with a gradient that an optimizer step left as they were, bit for bit.
LOST, MOSTLY_LOST = 0.5, 0.9
# Nats a response before the first update; bfloat16 rounds to 0.02 where both are equal.
REFERENCE_GAP, FAR_GAP = 0.5, 10.0
# Nats a token: how much less likely the text is than what the model would have said.
SURPRISE, STRANGE = 0.5, 2.0


def _movement(curves: Curves) -> list[Point]:
    """How far the policy is from its reference, nats a response: what has been measured of it."""
    found = (curves.recent(name) for name in ("reference_gap", "objective/kl_k3"))
    return [point for point in found if point is not None]


def _stands_still(curves: Curves) -> list[Point]:
    """Evidence that nothing has moved at all; [] where something has, or too little was seen."""
    found = _movement(curves)
    limits = {"objective/kl_k3": STILL_KL}
    if any(abs(point.value) > limits.get(point.metric, STANDING_STILL) for point in found):
        return []
    return found


def _under_way(curves: Curves) -> bool:
    """Whether the policy has made steps of a usual size: the warm-ups are over."""
    highest, peak = curves.column("learning_rate").highest, curves.number("learning_rate")
    rows = RECENT * (curves.number("logging_steps") or 1)
    values_alone = (curves.number("value_warmup_steps") or 0) + rows
    if curves.number("value_warmup_steps") and curves.step <= values_alone:
        return False
    return highest is not None and (peak is None or highest.value >= peak / 2)


def _moving_reference(curves: Curves) -> bool:
    """Whether the reference follows the policy, so that the two never part far."""
    settings = curves.settings
    return bool(settings.get("sync_ref_model")) or settings.get("round_reference") == "last-round"


def _updates(curves: Curves) -> float:
    """Mean norm of the recent gradients; 0 where none was logged or none arrived."""
    norm = curves.recent("grad_norm")
    return norm.value if norm else 0.0


def _learning_rate_zero(curves: Curves) -> Sighting | None:
    highest = curves.column("learning_rate").highest
    if curves.recent("learning_rate") is None or highest is None or highest.value > NO_STEP:
        return None
    words = f"the learning rate has never been above {highest.value:.3g}: no weight moves"
    return Sighting("sick", words, (highest,))


def _empty_responses(curves: Curves) -> Sighting | None:
    chosen, rejected = curves.last("logps/chosen"), curves.last("logps/rejected")
    if chosen is None or rejected is None or chosen.value or rejected.value:
        return None
    words = "the log-probability of every response is exactly 0: no response token is counted"
    return Sighting("sick", words, (chosen, rejected))


def _identical_pairs(curves: Curves) -> Sighting | None:
    norm, kind, seen = curves.last("grad_norm"), "logps", curves.last
    if curves.last("logps/chosen") is None:
        # A reward model, whose head of zeros makes the first rewards equal whatever the rows are.
        kind, seen = "rewards", curves.last if norm and norm.value == 0 else curves.recent
    chosen, rejected = seen(f"{kind}/chosen"), seen(f"{kind}/rejected")
    margins = seen("rewards/margins")
    if chosen is None or rejected is None or margins is None:
        return None
    same = abs(chosen.value - rejected.value) <= STANDING_STILL * (1 + abs(chosen.value))
    empty = kind == "logps" and chosen.value == 0
    if not same or empty or abs(margins.value) > STANDING_STILL:
        return None
    words = (
        f"{chosen.metric} and {rejected.metric} are both {chosen.value:.6g} and the margin is 0: "
        "the two responses of every pair are the same tokens"
    )
    return Sighting("sick", words, (chosen, rejected, margins))


def _no_gradient(curves: Curves) -> Sighting | None:
    norm, loss = curves.last("grad_norm"), curves.last("loss")
    if norm is None or norm.value != 0 or _identical_pairs(curves) or _empty_responses(curves):
        return None
    if loss is not None and loss.value != 0 and curves.column("rewards/margins").points:
        return None
    words = "the loss has no gradient at all: every row may have the weight 0 or the same reward"
    return Sighting("sick", words, (norm, *([loss] if loss else [])))


def _inactive_adapter(curves: Curves) -> Sighting | None:
    norm, loss = curves.last("grad_norm"), curves.last("loss")
    told = _identical_pairs(curves) or _empty_responses(curves) or _learning_rate_zero(curves)
    if norm is None or loss is None or told or _lost(curves):
        return None
    if norm.value == 0:
        if loss.value == 0 or not curves.column("rewards/margins").points:
            return None
        words = f"the loss is {loss.value:.4g}, but no gradient reaches the trained weights"
        return Sighting("sick", f"{words}: another adapter is scored than trained", (norm, loss))
    still = _stands_still(curves)
    if not still or not _updates(curves) or not _under_way(curves):
        return None
    words = (
        f"gradients arrive (norm {_updates(curves):.3g}) and weights are updated, but no "
        "log-probability moves: what is scored is not what is trained"
    )
    return Sighting("sick", words, (norm, *still))


def _lost(curves: Curves) -> Sighting | None:
    lost = curves.recent("update/lost")
    rate = curves.column("learning_rate").highest
    if lost is None or lost.value < LOST or (rate and rate.value <= NO_STEP):
        return None
    if not _under_way(curves):
        return None
    words = f"{lost.value:.0%} of the weights with a gradient are left as they were by an update"
    return Sighting("sick" if lost.value >= MOSTLY_LOST else "warning", words, (lost,))


def _barely_moves(curves: Curves) -> Sighting | None:
    if curves.progress < HALF or _stands_still(curves) or _lost(curves):
        return None
    if _moving_reference(curves) or not _under_way(curves):
        return None
    found = _movement(curves)
    limits = {"objective/kl_k3": BARELY_KL}
    if not found or any(abs(p.value) > limits.get(p.metric, BARELY) for p in found):
        return None
    far = max(abs(point.value) for point in found)
    words = (
        f"after {curves.progress:.0%} of the run policy and reference differ by {far:.2g} nats a "
        "response"
    )
    return Sighting("warning", words, tuple(found))


def _wrong_reference(curves: Curves) -> Sighting | None:
    gap = curves.first("start/reference_gap")
    if gap is None or gap.value < REFERENCE_GAP:
        return None
    words = (
        f"before any update policy and reference differed by {gap.value:.3g} nats a response, "
        "where a policy starts as its reference"
    )
    return Sighting("sick" if gap.value >= FAR_GAP else "warning", words, (gap,))


def _mismatch(curves: Curves) -> Sighting | None:
    surprise = curves.first("start/surprise")
    if surprise is None or surprise.value < SURPRISE:
        return None
    words = (
        f"chosen responses are {surprise.value:.2f} nats a token less likely than what the model "
        "itself would say in their place"
    )
    return Sighting("sick" if surprise.value >= STRANGE else "warning", words, (surprise,))


NOTHING = "ours: exact zeros, told apart by which number is zero"
LEARNING: dict[str, Rule] = {
    "learning-rate-zero": Rule(
        "nothing learns: no learning rate",
        "The step size is zero, or the warm-up is longer than the run.",
        f"no learning rate of {RECENT} or more rows is above {NO_STEP:g}",
        NOTHING,
        "set learning_rate; look at warmup_steps and lr_scheduler_type beside max_steps",
        _learning_rate_zero,
    ),
    "empty-responses": Rule(
        "nothing learns: empty masks",
        "No token of any response is counted, so every log-probability is exactly 0. Palate's own "
        "readers refuse such rows; rows that were made elsewhere may be such.",
        "logps/chosen and logps/rejected are exactly 0",
        NOTHING,
        "look at a few rows as tokens; palate check --model names rows whose response is empty",
        _empty_responses,
    ),
    "identical-pairs": Rule(
        "nothing learns: identical pairs",
        "Both responses of each pair are the same tokens, often because of a cut at max_length.",
        f"logps/chosen = logps/rejected and |rewards/margins| ≤ {STANDING_STILL:g}",
        NOTHING,
        "palate check names identical pairs; give rows that differ",
        _identical_pairs,
    ),
    "no-gradient": Rule(
        "nothing learns: the loss is flat",
        "The loss does not depend on the weights: all rows have weight 0, or all responses the "
        "same reward.",
        "grad_norm is exactly 0 and the loss is 0 (DPO), or rewards are all alike (PPO, online)",
        NOTHING,
        "look at weights of rows; of a reward, at frac_reward_zero_std and its scores",
        _no_gradient,
    ),
    "inactive-adapter": Rule(
        "nothing learns: another adapter is scored than trained",
        "Weights get gradients and updates, or the loss is there without a gradient, and no "
        "log-probability moves.",
        f"grad_norm above 0, warm-ups over, and reference_gap below {STANDING_STILL:g} nats a "
        "response (or a KL of 0); or grad_norm exactly 0 with a loss that is not 0",
        NOTHING,
        "look which adapter is active while rows are scored; load the adapter folder as --model "
        "instead of activating it by hand",
        _inactive_adapter,
    ),
    "updates-lost": Rule(
        "updates are lost to rounding",
        "Steps are smaller than the spacing of the weights' numbers: a weight of 0.1 has a spacing "
        "of 5e-4 in bfloat16, 7e-9 in float32.",
        f"update/lost ≥ {LOST:.0%} in the last 3 rows: warning; ≥ {MOSTLY_LOST:.0%}: sick",
        "ours; the effect: Gupta et al. 2015 (arXiv:1502.02551), section 3",
        "train adapters (kept in float32), load the model in float32, or raise learning_rate",
        _lost,
    ),
    "barely-moves": Rule(
        "the policy barely moves",
        "Learning goes on, but policy and reference hardly differ: β (or kl_coef) is too high, the "
        "learning rate too low, or the run too short.",
        f"after half of the run reference_gap is below {BARELY:g} nats a response; with "
        f"sampling, objective/kl_k3 is below {BARELY_KL:g}",
        "ours, set on seeds 0–3",
        "lower beta (kl_coef), raise learning_rate, or train for more steps",
        _barely_moves,
    ),
    "wrong-reference": Rule(
        "the reference is not what training started from",
        "Margins, rewards and KL are measured from another model than the one that learns: most "
        "often an SFT adapter that the policy has and the reference has not.",
        f"start/reference_gap ≥ {REFERENCE_GAP:g} nats a response before any update: warning; "
        f"≥ {FAR_GAP:g}: sick; where both were declared equal, training refuses to start",
        "ours; rounding alone gives at most 0.02 (training/checks.py)",
        "give the SFT model (or adapter folder) as --model, so that its copy is the reference",
        _wrong_reference,
    ),
    "sft-mismatch": Rule(
        "the model would never say what it is to prefer",
        "Chosen responses are unlikely under the start, so that DPO learns what it can without "
        "making them likely.",
        f"start/surprise ≥ {SURPRISE:g} nats a token at step 1: warning; ≥ {STRANGE:g}: sick; a "
        "model's own samples give 0 in expectation",
        "ours, set on seeds 0–3; the remedy: Rafailov et al. 2023 (arXiv:2305.18290), section 4",
        "do SFT on the chosen responses first (palate sft --use-chosen)",
        _mismatch,
    ),
}  # fmt: skip
