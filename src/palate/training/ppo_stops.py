"""What ends a PPO run before its last step: the KL budget, and a gold reward that parts."""

from collections.abc import Mapping, Sequence

from palate.measures.parting import Reading, have_parted
from palate.training.ppo_settings import PPOSettings
from palate.training.session import Session

WATCHED = {
    "proxy": "eval_objective/scores",
    "proxy_se": "eval_objective/scores_se",
    "gold": "eval_objective/gold",
    "gold_se": "eval_objective/gold_se",
}


def stop_over_budget(session: Session, kl: float, settings: PPOSettings) -> bool:
    """End the run where a rollout's KL (nats a response) is over the budget, before it is learned.

    So the model that is left is the one whose KL was measured.
    """
    if not settings.kl_budget or kl <= settings.kl_budget:
        return False
    session.stop(
        "kl_budget",
        f"the rollout's KL to the reference is {kl:.4g} nats a response, above kl_budget "
        f"{settings.kl_budget:g}; raise kl_coef or lower learning_rate to stay within it longer",
    )
    return True


def stop_where_parted(
    session: Session, metrics: Mapping[str, float], settings: PPOSettings
) -> None:
    """End the run where evaluations, the newest one included, show that proxy and gold part.

    Earlier ones are read from the log, which a resumed run has too.
    """
    if not settings.gold_patience:
        return
    readings = _readings([*session.journal.history, metrics])
    if have_parted(readings, patience=settings.gold_patience):
        best = max(readings, key=lambda reading: reading.gold)
        now = readings[-1]
        session.stop(
            "proxy_gold_parted",
            f"the reward that is optimized rose from {best.proxy:.4g} to {now.proxy:.4g} while the "
            f"gold reward fell from {best.gold:.4g} to {now.gold:.4g}, beyond their standard "
            f"errors, in {settings.gold_patience} evaluations; with load_best_model_at_end and "
            "metric_for_best_model eval_objective/gold the run ends with the best weights",
        )


def _readings(rows: Sequence[Mapping[str, float]]) -> list[Reading]:
    return [
        Reading(**{name: row[metric] for name, metric in WATCHED.items()})
        for row in rows
        if all(metric in row for metric in WATCHED.values())
    ]
