"""The best evaluation is the highest of those that are admitted."""

from pathlib import Path

import torch
from tests import tiny
from tests.training.runs import settings_of

from palate.training.best import Best
from palate.training.folder import RunFolder
from palate.training.resume import Standing
from palate.training.settings import PPOSettings

# Scores and KL: the highest is over a budget of 3, and so is the last.
EVALUATIONS = [(1.0, 1.0), (3.0, 5.0), (2.0, 2.9), (1.5, 0.5), (4.0, 3.1)]


def test_the_highest_score_within_the_kl_budget(tmp_path: Path) -> None:
    settings = settings_of(
        "ppo", eval_steps=1, load_best_model_at_end=True, kl_budget=3.0,
        metric_for_best_model="eval_objective/scores", early_stopping_patience=2,
    )  # fmt: skip
    assert isinstance(settings, PPOSettings)
    roles, folder = tiny.roles_of(tiny.llama(), "policy"), RunFolder(tmp_path / "run")
    with folder.open():
        standing = Standing()
        best = Best("ppo", roles, ("policy",), settings, standing, folder, settings.admits)
        weights: list[dict[str, torch.Tensor]] = []
        over: list[bool] = []
        for step, (score, kl) in enumerate(EVALUATIONS, start=1):
            tiny.nudge(roles, "policy", seed=step)
            weights.append({k: v.clone() for k, v in roles.state(("policy",)).items()})
            found = {"eval_objective/scores": score, "eval_objective/kl": kl}
            over.append(best.consider(step, found))
        assert (standing.best_value, standing.best_step) == (2.0, 3)
        # The fourth has a lower score, the fifth is not admitted: patience is over.
        assert over == [False, False, False, False, True]
        again = Best("ppo", roles, ("policy",), settings, standing, folder, settings.admits)
        again.take_up()
        again.settle()
    kept = roles.state(("policy",))
    assert all(torch.equal(value, weights[2][key]) for key, value in kept.items())


def test_an_evaluation_without_the_metric_is_no_better(tmp_path: Path) -> None:
    """Responses of three tokens have no repetition: the run goes on, and its patience counts."""
    settings = settings_of(
        "ppo", eval_steps=1, metric_for_best_model="eval_repetition", early_stopping_patience=1
    )
    standing, folder = Standing(), RunFolder(tmp_path / "run")
    roles = tiny.roles_of(tiny.llama(), "policy")
    best = Best("ppo", roles, ("policy",), settings, standing, folder, lambda _: True)
    assert not best.consider(1, {"eval_repetition": 0.5})
    assert best.consider(2, {"eval_objective/scores": 1.0})
    assert (standing.best_value, standing.best_step) == (0.5, 1)
