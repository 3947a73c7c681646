"""What goes wrong in learning from one's own samples, seen in the samples of each rollout."""

from palate.measures.findings.curves import RECENT, Curves, Point
from palate.measures.findings.finding import Level, Rule, Sighting
from palate.measures.parting import Reading, have_parted

# Nats a response, and a token, by which the policy has left its reference.
KL, KL_PER_TOKEN = 5.0, 0.5
FAR_KL_PER_TOKEN = 1.5
# Share of the first rollout's entropy a token that is left.
COLLAPSED, DEAD = 0.25, 0.1
# Share of a sample's 4-grams that it has said before, and how much more that is than at first.
REPEATING, LOOPING = 0.25, 0.6
MORE_REPETITION = 0.15
# Share of samples that end by themselves, and how much that may fall.
ENDING, HARDLY_ENDING = 0.5, 0.2
FEWER_ENDINGS = 0.25
# Length of samples beside the first rollout's.
LONGER, SHORTER = 1.5, 1 / 1.5
FAR = 2.0
# Correlation of scores with lengths, beside which a drift in its direction is exploitation.
EXPLOITED = 0.5
# Evaluations in a row in which proxy and gold have parted.
PATIENCE = 2
# Share of the variance of returns that values explain after half of the run.
EXPLAINED = 0.02
HALF = 0.5
# A clipped or moved policy within one rollout: share of tokens, nats a token.
CLIPPED, MOSTLY_CLIPPED = 0.3, 0.5
APPROX_KL = 0.1
GOLD = ("eval_objective/scores", "eval_objective/scores_se", "eval_objective/gold",
        "eval_objective/gold_se")  # fmt: skip


def _kl(curves: Curves) -> Sighting | None:
    kl, length = curves.recent("objective/kl"), curves.recent("length")
    if kl is None or length is None or length.value <= 0:
        return None
    per_token = kl.value / length.value
    if kl.value < KL or per_token < KL_PER_TOKEN:
        return None
    words = f"the KL to the reference is {kl.value:.1f} nats a response, {per_token:.2f} a token"
    return Sighting("sick" if per_token >= FAR_KL_PER_TOKEN else "warning", words, (kl, length))


def _entropy(curves: Curves) -> Sighting | None:
    now, length = curves.recent("objective/entropy"), curves.recent("length")
    start, start_length = curves.first("objective/entropy"), curves.first("length")
    if now is None or length is None or start is None or start_length is None:
        return None
    if length.value <= 0 or start.value <= 0 or start_length.value <= 0:
        return None
    before = start.value / start_length.value
    left = now.value / length.value / before
    if left > COLLAPSED:
        return None
    words = f"{left:.0%} of the entropy a token is left ({before:.2f} nats in the first rollouts)"
    return Sighting("sick" if left <= DEAD else "warning", words, (start, now))


def _repetition(curves: Curves) -> Sighting | None:
    now, start = curves.recent("repetition"), curves.first("repetition")
    if now is None or start is None:
        return None
    if now.value < REPEATING or now.value - start.value < MORE_REPETITION:
        return None
    words = f"{now.value:.0%} of a sample's 4-grams repeat earlier ones, {start.value:.0%} at first"
    return Sighting("sick" if now.value >= LOOPING else "warning", words, (start, now))


def _endings(curves: Curves) -> Sighting | None:
    now, start = curves.recent("eos_rate"), curves.first("eos_rate")
    if now is None or start is None:
        return None
    if now.value >= ENDING and start.value - now.value < FEWER_ENDINGS:
        return None
    words = f"{now.value:.0%} of the samples end by themselves, {start.value:.0%} at first"
    return Sighting("sick" if now.value <= HARDLY_ENDING else "warning", words, (start, now))


def _drift(curves: Curves) -> tuple[float, tuple[Point, Point]] | None:
    """How many times as long samples are as at first, where that is far from 1."""
    now, start = curves.recent("length"), curves.first("length")
    if now is None or start is None or start.value <= 0:
        return None
    times = now.value / start.value
    return (times, (start, now)) if times >= LONGER or times <= SHORTER else None


def _length_drift(curves: Curves) -> Sighting | None:
    found = _drift(curves)
    if found is None:
        return None
    times, (start, now) = found
    words = (
        f"samples are {times:.2f} times as long as at first: {start.value:.1f} → {now.value:.1f}"
    )
    level: Level = "warning" if max(times, 1 / times) >= FAR else "note"
    return Sighting(level, f"{words} tokens", (start, now))


def _length_exploitation(curves: Curves) -> Sighting | None:
    found, with_length = _drift(curves), curves.column("objective/length_correlation").points
    if found is None or not with_length:
        return None
    times, (start, now) = found
    # What the reward paid for is seen best at the start, while lengths still differ.
    paid = sum(point.value for point in with_length[:3]) / len(with_length[:3])
    if paid * (1 if times > 1 else -1) < EXPLOITED:
        return None
    which = "longer" if times > 1 else "shorter"
    words = (
        f"the reward went with length (correlation {paid:+.2f} in the first rollouts), and samples "
        f"became {which}: {start.value:.1f} → {now.value:.1f} tokens"
    )
    return Sighting("sick", words, (with_length[0], start, now))


def _hacking(curves: Curves) -> Sighting | None:
    columns = [curves.column(name).points for name in GOLD]
    if not all(columns) or len({len(column) for column in columns}) > 1:
        return None
    readings = [Reading(*(point.value for point in row)) for row in zip(*columns, strict=True)]
    if not have_parted(readings, patience=PATIENCE):
        return None
    scores, _, golds, _ = columns
    peak = max(range(len(readings)), key=lambda i: readings[i].gold)
    words = (
        f"the reward that is optimized rose from {scores[peak].value:.3g} to "
        f"{scores[-1].value:.3g} while gold fell from {golds[peak].value:.3g} (step "
        f"{golds[peak].step}) to {golds[-1].value:.3g}"
    )
    return Sighting("sick", words, (scores[peak], scores[-1], golds[peak], golds[-1]))


def _value(curves: Curves) -> Sighting | None:
    best = curves.column("val/explained_variance").best_recent
    last = curves.last("val/explained_variance")
    if best is None or last is None or curves.progress < HALF or best.value > EXPLAINED:
        return None
    words = (
        f"values have explained at most {best.value:.1%} of the variance of returns in "
        f"{RECENT} rows of the log"
    )
    return Sighting("warning", words, (best, last))


def _off_policy(curves: Curves) -> Sighting | None:
    clipped = curves.recent("policy/clipfrac_avg") or curves.recent("clip_ratio/region_mean")
    approx = curves.recent("policy/approxkl_avg")
    far = clipped is not None and clipped.value >= CLIPPED
    moved = approx is not None and approx.value >= APPROX_KL
    if clipped is None or not (far or moved):
        return None
    words = f"{clipped.value:.0%} of the ratios are clipped"
    if approx is not None:
        words += f", and a rollout's passes move the policy by {approx.value:.3g} nats a token"
    level: Level = "sick" if clipped.value >= MOSTLY_CLIPPED else "warning"
    return Sighting(level, words, (clipped, *([approx] if approx else [])))


SAMPLED: dict[str, Rule] = {
    "kl-blow-up": Rule(
        "the policy has left its reference",
        "The KL has grown so far that the reward, which was learned near the reference, says "
        "little of the samples.",
        f"objective/kl ≥ {KL:g} nats a response and ≥ {KL_PER_TOKEN:g} a token: warning; "
        f"≥ {FAR_KL_PER_TOKEN:g} a token: sick",
        "ours, set on seeds 0–3",
        "raise kl_coef, lower learning_rate, set kl_budget, or let kl_coef adapt (adap_kl_ctrl)",
        _kl,
    ),
    "entropy-collapse": Rule(
        "the policy says the same to everybody",
        "Samples have become nearly certain, so that there is nothing left to explore.",
        f"entropy a token is ≤ {COLLAPSED:.0%} of the first rollouts': warning; ≤ {DEAD:.0%}: sick",
        "ours, set on seeds 0–3",
        "raise kl_coef or entropy_coef, lower learning_rate, or stop earlier",
        _entropy,
    ),
    "repetition": Rule(
        "samples repeat themselves",
        "The policy loops; rewards of a model often miss it.",
        f"repetition ≥ {REPEATING:.0%} and ≥ {MORE_REPETITION:.0%} above the first rollouts': "
        f"warning; ≥ {LOOPING:.0%}: sick",
        "ours, set on seeds 0–3; the measure: Welleck et al. 2019 (arXiv:1908.04319), seq-rep-4",
        "look at samples.jsonl; raise kl_coef, and probe the reward model (palate check-reward)",
        _repetition,
    ),
    "no-endings": Rule(
        "samples do not end",
        "Responses run into max_new_tokens: their score is read where the model was cut off.",
        f"eos_rate < {ENDING:.0%}, or ≥ {FEWER_ENDINGS:.0%} below the first rollouts': warning; "
        f"≤ {HARDLY_ENDING:.0%}: sick",
        "ours, set on seeds 0–3",
        "raise max_new_tokens or missing_eos_penalty, and see that SFT rows end",
        _endings,
    ),
    "length-drift": Rule(
        "samples become longer or shorter",
        "That may be wanted; where the reward pays for it, see length-exploitation.",
        f"mean length ≥ {LONGER:g} or ≤ {SHORTER:.2f} times the first rollouts': note; {FAR:g} "
        "times, or as many times shorter: warning",
        "ours, set on seeds 0–3",
        "compare with a length-controlled win rate; raise kl_coef",
        _length_drift,
    ),
    "length-exploitation": Rule(
        "the reward pays for length, and the policy gives it",
        "Samples drift towards the length that the reward prefers, longer or shorter.",
        f"length-drift, and scores correlated with length by ≥ {EXPLOITED:g} in its direction in "
        "the first rows of the log",
        "ours, set on seeds 0–3; the effect: Singhal et al. 2023 (arXiv:2310.03716)",
        "train the reward model on pairs of balanced length; probe it with palate check-reward",
        _length_exploitation,
    ),
    "reward-hacking": Rule(
        "the reward rises, what is wanted falls",
        "Proxy and gold have parted: the policy has found what the proxy pays for by mistake.",
        f"in {PATIENCE} evaluations in a row proxy is above and gold below what they were at "
        "gold's peak, each by more than 2 standard errors; needs --gold",
        "Gao et al. 2022 (arXiv:2210.10760), figure 1; the criterion is ours (measures/parting.py)",
        "end at gold's peak (gold_patience, load_best_model_at_end with metric_for_best_model "
        "eval_objective/gold), raise kl_coef, or take an ensemble with uncertainty_coef",
        _hacking,
    ),
    "value-useless": Rule(
        "the value function explains nothing",
        "Advantages are as noisy as without values: PPO learns slowly and needs more samples.",
        f"val/explained_variance never above {EXPLAINED:g} in a mean of {RECENT} rows, after half "
        "of the run (a policy that has settled leaves little to explain, so the best counts)",
        "ours, set on seeds 0–3; 0 is what a constant would have",
        "raise vf_coef, set value_warmup_steps, take --value-model separate or a reward model; "
        "or palate online --method rloo, which needs no values",
        _value,
    ),
    "off-policy-drift": Rule(
        "a rollout is learned from for too long",
        "Within the passes over one rollout the policy leaves the one that sampled it.",
        f"clipped ratios ≥ {CLIPPED:.0%} or policy/approxkl_avg ≥ {APPROX_KL:g} nats a token: "
        f"warning; clipped ≥ {MOSTLY_CLIPPED:.0%}: sick",
        "ours, set on seeds 0–3",
        "lower num_ppo_epochs (num_iterations) or learning_rate, or set target_kl",
        _off_policy,
    ),
}  # fmt: skip
