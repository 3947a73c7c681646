"""`palate dpo`: the short road."""

from typing import TYPE_CHECKING

from palate.cli.inputs import Inputs
from palate.cli.sources import Sources
from palate.cli.stage import Stage, training_command
from palate.data.sources import read_comparisons
from palate.training.settings import DPOSettings

if TYPE_CHECKING:
    from palate.experiments.run import Frame, Outcome

HELP = """Train a policy on preference pairs directly (DPO).

Rows: {"prompt", "chosen", "rejected"}, text or turns; for loss types kto and bco also {"prompt",
"completion", "label"} (true: desirable). The model to start from, usually an SFT
model, is the reference too. Without --model and --data it runs on the embedded world."""


def _run(settings: DPOSettings, inputs: Inputs, frame: "Frame") -> "Outcome":
    from palate.experiments.run import run_dpo

    return run_dpo(settings, inputs.loaded, inputs.train, eval_pairs=inputs.eval, frame=frame)


dpo = training_command(Stage("dpo", DPOSettings, Sources, read_comparisons, _run))
