"""`palate reward`: a reward model."""

from typing import TYPE_CHECKING

from palate.cli.inputs import Inputs
from palate.cli.sources import Sources
from palate.cli.stage import Stage, training_command
from palate.data.sources import read_preferences
from palate.training.settings import RewardSettings

if TYPE_CHECKING:
    from palate.experiments.run import Frame, Outcome

HELP = """Train a reward model on preference pairs, for palate ppo.

Rows: {"prompt", "chosen", "rejected"}, text or turns. Start from the SFT model that PPO will start
from. Without --model and --data it runs on the embedded world."""


def _run(settings: RewardSettings, inputs: Inputs, frame: "Frame") -> "Outcome":
    from palate.experiments.run import run_reward

    return run_reward(settings, inputs.loaded, inputs.train, eval_pairs=inputs.eval, frame=frame)


reward = training_command(Stage("reward", RewardSettings, Sources, read_preferences, _run))
