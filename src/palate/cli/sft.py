"""`palate sft`: supervised fine-tuning."""

from typing import TYPE_CHECKING

from palate.cli.inputs import Inputs
from palate.cli.sources import SFTSources
from palate.cli.stage import Stage, training_command
from palate.data.sources import read_demonstrations
from palate.training.settings import SFTSettings

if TYPE_CHECKING:
    from palate.experiments.run import Frame, Outcome

HELP = """Train a model to write the responses that it is shown.

Rows: {"prompt", "completion"}, {"messages"} or {"text"}; pairs with --use-chosen. Without --model
and --data it runs on the embedded world."""


def _run(settings: SFTSettings, inputs: Inputs, frame: "Frame") -> "Outcome":
    from palate.experiments.run import run_sft

    return run_sft(
        settings, inputs.loaded, inputs.train, eval_demonstrations=inputs.eval, frame=frame
    )


sft = training_command(Stage("sft", SFTSettings, SFTSources, read_demonstrations, _run))
