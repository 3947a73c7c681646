"""`palate ppo`: the second half of the long road."""

from typing import TYPE_CHECKING

from palate.cli.inputs import Inputs
from palate.cli.sources import PPOSources
from palate.cli.stage import Stage, training_command
from palate.data.sources import read_prompts
from palate.training.settings import PPOSettings

if TYPE_CHECKING:
    from palate.experiments.run import Frame, Outcome

HELP = """Train a policy against a reward model (PPO with a KL penalty).

Rows: {"prompt"}, or pairs, whose prompts are taken; further columns reach reward functions. The
model to start from is the reference too. --reward is a reward model's folder, MODULE:FUNCTION,
FILE.py:FUNCTION, judge:FILE.yaml or judge:MODEL@URL; several, as 0.7*runs/reward, are summed. A
reward model is refused (exit code 4) where it is not fit to be optimized against: see palate
check-reward. --gold is watched beside it. Without --model and --data it runs on the embedded world,
whose gold reward is known."""


def _run(settings: PPOSettings, inputs: Inputs, frame: "Frame") -> "Outcome":
    from palate.experiments.run import run_ppo

    return run_ppo(
        settings, inputs.loaded, inputs.train, reward=inputs.reward, gold=inputs.gold,
        eval_prompts=inputs.eval, frame=frame,
    )  # fmt: skip


ppo = training_command(Stage("ppo", PPOSettings, PPOSources, read_prompts, _run))
