"""Who scores pairs for `palate score`, and its summary in words."""

from typing import TYPE_CHECKING, Any

from palate.cli.inputs import is_reward, load_model, model_folder
from palate.cli.trained import training_of

if TYPE_CHECKING:
    from palate.experiments.pair_scores import Scorer


def scorer_of(model: str, *, beta: float | None, reference: str | None) -> "Scorer":
    """A reward model's rewards, or those that a policy implies.

    Raises:
        ModelError: a model cannot be loaded.
        UsageError: a policy's beta is neither given nor written beside it.
    """
    from palate.experiments.pair_scores import implicit_scorer, reward_scorer

    folder = model_folder(model)
    if is_reward(folder):
        return reward_scorer(folder)
    policy = load_model(model)
    trained = training_of(folder, beta=beta, reference=reference)
    start = load_model(trained.reference, flag="--reference") if trained.reference else None
    return implicit_scorer(policy, reference=start, beta=trained.beta)


def describe(summary: dict[str, Any]) -> None:
    """Print rewards, and how often the chosen response has the higher one."""
    from palate.experiments.table import measured

    print(f"{summary['pairs']} pairs scored, {summary['dropped_overlong']} too long")
    for name in ("rewards/chosen", "rewards/rejected", "rewards/margins"):
        print(f"  {name:<20} {summary[name]:.4g}")
    if summary["rewards/uncertainty"] is not None:
        print(f"  {'rewards/uncertainty':<20} {summary['rewards/uncertainty']:.4g}")
    for name in ("accuracy", "longest_wins"):
        print(f"  {name:<20} {measured(summary[name], percent=True)}")
