"""`palate online`: what lies between the two roads."""

from typing import TYPE_CHECKING

from palate.cli.inputs import Inputs
from palate.cli.sources import PPOSources
from palate.cli.stage import Stage, training_command
from palate.data.sources import read_prompts
from palate.training.online_settings import OnlineSettings

if TYPE_CHECKING:
    from palate.experiments.run import Frame, Outcome

HELP = """Train a policy on its own responses without a value function (--method).

rloo, grpo and reinforce++ follow the reward; online-dpo and iterated-dpo make pairs of the best and
the worst response; best-of-n learns the best one. Rows: {"prompt"}, or pairs, whose prompts are
taken. --reward and --gold are as in palate ppo. A reward model is refused (exit code 4) where it is
not fit to be optimized against. Without --model and --data it runs on the embedded world."""


def _run(settings: OnlineSettings, inputs: Inputs, frame: "Frame") -> "Outcome":
    from palate.experiments.run import run_online

    return run_online(
        settings, inputs.loaded, inputs.train, reward=inputs.reward, gold=inputs.gold,
        eval_prompts=inputs.eval, frame=frame,
    )  # fmt: skip


online = training_command(Stage("online", OnlineSettings, PPOSources, read_prompts, _run))
