"""What goes wrong in learning from pairs: DPO and its family, and reward models."""

from palate.measures.findings.curves import Curves, Point
from palate.measures.findings.finding import Level, Rule, Sighting

# Nats by which the held-out loss is above its lowest, and above the training loss.
RISE, GAP = 0.05, 0.1
# The loss of a coin: log 2, which a policy that equals its reference has.
COIN = 0.6931
# Share of the reference's log-probability, and nats, that chosen responses have lost.
DISPLACED, DISPLACED_NATS = 0.15, 2.0
FAR_DISPLACED = 0.5
# Margins (in rewards) at which a pair's gradient is σ(−5) = 0.7 % of what it was at the start.
SATURATED = 5.0
EARLY = 0.9
# Share of the most confident quarter of held-out pairs that is the wrong way round.
CONFIDENT, VERY_CONFIDENT = 0.15, 0.3
HALF = 0.5
# Held-out accuracy below which a reward tells little more than a coin.
CHANCE, COIN_TOSS = 0.6, 0.53
# Correlation of held-out margins with the difference in length, and of either with chance.
LENGTH = 0.7


def _overfitting(curves: Curves) -> Sighting | None:
    name = "eval_loss"
    last, lowest, train = curves.last(name), curves.column(name).lowest, curves.recent("loss")
    if last is None or lowest is None or train is None or lowest.step == last.step:
        return None
    first = curves.column("loss").points[0]
    # Other losses than log σ have other scales: what a coin has tells them.
    scale = max(1.0, first.value / COIN)
    if last.value - lowest.value < RISE * scale or last.value - train.value < GAP * scale:
        return None
    words = (
        f"the held-out loss rose from {lowest.value:.3f} (step {lowest.step}) to {last.value:.3f}, "
        f"while the training loss is {train.value:.3f}"
    )
    worse = last.value > COIN > train.value and curves.first("rewards/margins") is not None
    return Sighting("sick" if worse else "warning", words, (lowest, last, train))


def _displacement(curves: Curves) -> Sighting | None:
    chosen, margin = curves.log_ratio("chosen"), curves.log_ratio("margins")
    logps = curves.recent("logps/chosen")
    if chosen is None or margin is None or logps is None or margin.value <= 0:
        return None
    reference = logps.value - chosen.value
    share = chosen.value / reference if reference < 0 else 0.0
    if chosen.value > -DISPLACED_NATS or share < DISPLACED:
        return None
    words = (
        f"chosen responses have lost {-chosen.value:.1f} nats of log-probability ({share:.0%} of "
        f"what they had: {reference:.1f}) while the margin grew to {margin.value:.1f} nats"
    )
    level: Level = "sick" if share >= FAR_DISPLACED else "warning"
    return Sighting(level, words, (chosen, margin, logps))


def _saturated(curves: Curves) -> Sighting | None:
    margins, loss = curves.recent("rewards/margins"), curves.recent("loss")
    accuracy = curves.recent("rewards/accuracies") or curves.recent("accuracy")
    if margins is None or loss is None or accuracy is None or curves.progress > EARLY:
        return None
    if margins.value < SATURATED or accuracy.value < 0.98:
        return None
    words = (
        f"the mean margin is {margins.value:.1f} in rewards with {curves.progress:.0%} of the run "
        f"done: {accuracy.value:.0%} of the training pairs are right and teach nothing more"
    )
    return Sighting("warning", words, (margins, loss, accuracy))


def _held_out_accuracy(curves: Curves) -> Point | None:
    return curves.last("eval_rewards/accuracies") or curves.last("eval_accuracy")


def _label_noise(curves: Curves) -> Sighting | None:
    wrong, accuracy = curves.last("eval_rewards/confident_errors"), _held_out_accuracy(curves)
    train = curves.recent("loss")
    if wrong is None or accuracy is None or train is None or curves.progress < HALF:
        return None
    if wrong.value < CONFIDENT or accuracy.value < CHANCE - 0.05 or _overfitting(curves):
        return None
    words = (
        f"of the held-out pairs that the model is surest of, {wrong.value:.0%} are labelled the "
        f"other way round (accuracy {accuracy.value:.0%})"
    )
    level: Level = "sick" if wrong.value >= VERY_CONFIDENT else "warning"
    return Sighting(level, words, (wrong, accuracy))


def _near_chance(curves: Curves) -> Sighting | None:
    accuracies = curves.column("eval_accuracy")
    best, last = accuracies.highest, accuracies.points[-1] if accuracies.points else None
    if best is None or last is None or curves.progress < 1 or best.value >= CHANCE:
        return None
    words = (
        f"the reward model is right about {last.value:.0%} of held-out pairs at the end and was "
        f"never right about more than {best.value:.0%}; a coin is right about 50 %"
    )
    return Sighting("sick" if best.value < COIN_TOSS else "warning", words, (best, last))


def _rewards_length(curves: Curves) -> Sighting | None:
    found = curves.last("eval_rewards/length_correlation")
    if found is None or abs(found.value) < LENGTH:
        return None
    which = "longer" if found.value > 0 else "shorter"
    words = (
        f"held-out margins go with length (correlation {found.value:+.2f}): what has been learned "
        f"is to prefer the {which} response"
    )
    return Sighting("warning", words, (found,))


PAIRS: dict[str, Rule] = {
    "overfitting": Rule(
        "the training rows are learned by heart",
        "Held-out and training loss part: β is too low, there are too many epochs, or too few "
        "pairs.",
        f"the held-out loss is ≥ {RISE:g} nats above its lowest and ≥ {GAP:g} above the training "
        "loss: warning; of pairs, above log 2 as well: sick (of a loss that starts above log 2, as "
        "many times more)",
        "ours, set on seeds 0–3",
        "stop earlier (early_stopping_patience, load_best_model_at_end), train for fewer epochs, "
        "raise beta, or collect more pairs",
        _overfitting,
    ),
    "likelihood-displacement": Rule(
        "chosen responses become less likely",
        "The margin grows because rejected responses fall faster than chosen ones; what becomes "
        "likely instead is something else. A small fall is usual in DPO.",
        f"chosen responses have lost ≥ {DISPLACED:.0%} of the reference's log-probability and "
        f"≥ {DISPLACED_NATS:g} nats: warning; ≥ {FAR_DISPLACED:.0%}: sick",
        "ours, set on seeds 0–3; the effect: Razin et al. 2024 (arXiv:2410.08847)",
        "add a likelihood term (loss_type sigmoid,sft), raise beta, lower learning_rate, or leave "
        "out pairs whose two responses hardly differ",
        _displacement,
    ),
    "saturated-margins": Rule(
        "the pairs are learned and teach nothing more",
        "All margins are far above 0 well before the end: the rest of the run is spent on noise. "
        "Often the pairs can be told apart by something trivial.",
        f"rewards/margins ≥ {SATURATED:g} and ≥ 98 % of training pairs right with more than "
        f"{1 - EARLY:.0%} of the run to go",
        "arithmetic: the gradient of log σ(5) is 0.7 % of that at 0",
        "train for fewer steps, or look what palate check says of trivial baselines",
        _saturated,
    ),
    "label-noise": Rule(
        "labels contradict each other",
        "Where the model is surest it is still often contradicted by held-out labels: a share of "
        "the labels is the wrong way round.",
        f"after half of the run eval_rewards/confident_errors ≥ {CONFIDENT:.0%}: warning; "
        f"≥ {VERY_CONFIDENT:.0%}: sick; only where held-out accuracy is ≥ {CHANCE - 0.05:.0%} and "
        "nothing is overfitted",
        "ours, set on seeds 0–3",
        "set label_smoothing (loss_type robust) to the share, look at palate label-quality and at "
        "the contradictions that palate check lists",
        _label_noise,
    ),
    "reward-near-chance": Rule(
        "the reward model tells little more than a coin",
        "A policy that is optimized against it learns noise.",
        f"no evaluation reaches {CHANCE:.0%} accuracy by the end: warning; {COIN_TOSS:.0%}: sick",
        "ours, set on seeds 0–3; the gate before PPO asks for more (palate check-reward)",
        "start from the SFT model, give more pairs, look at label noise and at lengths",
        _near_chance,
    ),
    "length-preference": Rule(
        "length decides which response wins",
        "What the model has learned of the pairs is mostly their length; a policy that is "
        "optimized against it will grow or shrink.",
        f"|eval_rewards/length_correlation| ≥ {LENGTH:g}",
        "ours, set on seeds 0–3",
        "balance lengths among the pairs, or take ld_alpha, or a loss of mean log-probabilities",
        _rewards_length,
    ),
}  # fmt: skip
