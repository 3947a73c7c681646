"""What the settings of online methods say that has no effect, method by method; no torch."""

from dataclasses import fields

from palate.training.loss_checks import cautions as loss_cautions
from palate.training.online_settings import USES, OnlineSettings
from palate.training.stage_cautions import dropout_caution


def cautions(s: OnlineSettings) -> list[str]:
    """A sentence for each setting that was changed and has no effect."""
    ours = frozenset().union(*USES.values())
    found = []
    for of in fields(s):
        if of.name in ours - USES[s.method] and s.changed(of.name):
            users = [name for name, uses in USES.items() if of.name in uses]
            found.append(
                f"{of.name} has no effect with method {s.method}: only {', '.join(users)} read it"
            )
    if s.method == "best-of-n" and s.changed("kl_coef"):
        found.append("kl_coef changes metrics alone with method best-of-n, which learns no KL")
    if s.clips:
        found += dropout_caution(s, s.method) + _single_update(s)
    if s.method == "grpo":
        found += _grpo(s)
    if s.learns_pairs:
        found += _pairs(s)
    if s.method == "iterated-dpo" and s.num_rounds == 1 and s.changed("round_reference"):
        found.append("round_reference has no effect: num_rounds is 1, which starts at the start")
    return found


def _single_update(s: OnlineSettings) -> list[str]:
    if s.num_iterations * s.num_mini_batches > 1:
        return []
    return [
        f"{name} has no effect: with one optimizer step a rollout (num_iterations × "
        "num_mini_batches) the policy is still the one that sampled"
        for name in ("epsilon", "epsilon_high")
        if s.changed(name)
    ]


def _grpo(s: OnlineSettings) -> list[str]:
    found = []
    if s.changed("use_bias_correction_kl") and not s.kl_coef:
        found.append("use_bias_correction_kl has no effect: kl_coef is 0")
    if s.loss_type == "bnpo":
        found.append("loss_type bnpo is dapo here: micro-batches never change what is averaged")
    return found


def _pairs(s: OnlineSettings) -> list[str]:
    pair = s.pair_settings()
    found = [sentence for sentence in loss_cautions(pair) if not sentence.startswith("beta ")]
    if s.changed("kl_coef") and not pair.uses("beta"):
        found.append(f"kl_coef has no effect with loss_type {s.loss_type}: it has no scale")
    return found
