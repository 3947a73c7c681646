"""One small run of each stage, for the tests of what all loops share."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests import tiny

from palate.data.trees import Tree
from palate.models.protocols import FunctionReward
from palate.models.roles import Roles
from palate.training.dpo import train_dpo
from palate.training.folder import RunFolder
from palate.training.ppo import train_ppo
from palate.training.reward import train_reward
from palate.training.run import Result, Run
from palate.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardSettings,
    SFTSettings,
    StageSettings,
)
from palate.training.sft import train_sft

STAGES = ("sft", "reward", "dpo", "ppo")
TRAINED = {
    "sft": ("policy",),
    "reward": ("reward",),
    "dpo": ("policy",),
    "ppo": ("policy", "value"),
}
ROLES = {
    "sft": ("policy",),
    "reward": ("reward",),
    "dpo": ("policy", "reference"),
    "ppo": ("policy", "reference", "shared value"),
}
KINDS: dict[str, type[StageSettings]] = {
    "sft": SFTSettings,
    "reward": RewardSettings,
    "dpo": DPOSettings,
    "ppo": PPOSettings,
}
OWN: dict[str, dict[str, Any]] = {
    "sft": {},
    "reward": {"num_scale_samples": 3, "max_new_tokens": 4},
    "dpo": {},
    "ppo": {
        "max_new_tokens": 6, "num_samples_per_prompt": 2, "num_ppo_epochs": 2,
        "num_mini_batches": 2,
    },
}  # fmt: skip
END = (2, 3, 4, 5, 6, 7)


def settings_of(stage: str, **changes: Any) -> StageSettings:
    """Four steps of four rows, logged and evaluated at every second one."""
    common = {
        "per_device_train_batch_size": 4, "max_steps": 4, "learning_rate": 1e-2,
        "logging_steps": 2, "eval_steps": 2, "lr_scheduler_type": "cosine",
    }  # fmt: skip
    return KINDS[stage](**{**common, **OWN[stage], **changes})


def start(stage: str, *, seed: int = 0, dropout: float = 0.0) -> Roles:
    """Fresh roles of a stage on the tiny Llama."""
    return tiny.roles_of(tiny.llama(), *ROLES[stage], seed=seed, dropout=dropout)


def rows_of(stage: str, count: int = 10, *, seed: int = 0) -> list[Tree]:
    """Toy rows as the stage wants them."""
    return tiny.trees(count, responses={"sft": 1, "ppo": 0}.get(stage, 2), seed=seed)


def _words(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """Even tokens are good, odd ones are not."""
    return [sum(1.0 if int(w) % 2 == 0 else -1.0 for w in r.split()) for r in responses]


REWARD = FunctionReward(_words, lambda ids: " ".join(map(str, ids)))


def train(
    stage: str,
    roles: Roles,
    settings: StageSettings,
    *,
    run: Run | None = None,
    rows: Sequence[Tree] | None = None,
    evaluate: bool = True,
) -> Result:
    """Run a stage's loop."""
    rows = rows_of(stage) if rows is None else rows
    held_out = rows_of(stage, 3, seed=1) if evaluate else []
    if not evaluate:
        settings = replace(settings, eval_steps=0)
    if stage == "sft":
        assert isinstance(settings, SFTSettings)
        return train_sft(roles, rows, settings, eval_demonstrations=held_out, run=run)
    if stage == "reward":
        assert isinstance(settings, RewardSettings)
        return train_reward(roles, rows, settings, end_tokens=END, eval_pairs=held_out, run=run)
    if stage == "dpo":
        assert isinstance(settings, DPOSettings)
        return train_dpo(roles, rows, settings, eval_pairs=held_out, run=run)
    assert isinstance(settings, PPOSettings)
    return train_ppo(
        roles, rows, settings, reward=REWARD, end_tokens=END, eval_prompts=held_out, run=run
    )


class Stop(BaseException):
    """Stands for a kill: nothing in the library may catch it."""


class At:
    """A listener that does something after a step."""

    def __init__(self, step: int, act: Any) -> None:
        self.step, self.act = step, act

    def on_step(self, step: int, num_steps: int) -> bool:
        """Act, and end the run where the act says so."""
        return bool(self.act()) if step == self.step else False

    def on_log(self, step: int, metrics: Any) -> None:
        """Nothing."""


def kill() -> None:
    """What `At` does to stand for a kill."""
    raise Stop


def in_folder(
    stage: str, folder: RunFolder, settings: StageSettings, roles: Roles, **kwargs: Any
) -> Result:
    """Run a stage in a folder, as the commands do."""
    resume, evaluate = bool(kwargs.get("resume")), kwargs.pop("evaluate", True)
    with folder.open(resume=resume):
        return train(stage, roles, settings, run=Run(folder=folder, **kwargs), evaluate=evaluate)
