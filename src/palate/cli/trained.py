"""How a policy was trained, from the run folder around it."""

from dataclasses import dataclass
from pathlib import Path

from palate.cli.inputs import model_folder
from palate.cli.recipe import Recipe, read_recipe
from palate.errors import UsageError


@dataclass(frozen=True)
class Training:
    """Beta, and the model that the policy was held to; None: the base of its adapter."""

    beta: float
    reference: str | None


def training_of(folder: Path, *, beta: float | None, reference: str | None) -> Training:
    """What was given, else what `recipe.yaml` beside the model says.

    Raises:
        UsageError: beta is neither given nor written there.
    """
    written = folder.parent / "recipe.yaml"
    recipe = read_recipe(written) if folder.name == "model" and written.exists() else Recipe()
    if beta is None:
        if "beta" not in recipe.values:
            raise UsageError(
                f"--beta is missing: {folder} is a policy without a DPO run folder around it; give "
                "the beta of its training, or name a reward model"
            )
        beta = float(recipe.values["beta"])
    start = recipe.values.get("model")
    if reference is None and isinstance(start, str):
        # An adapter that was trained from a whole model has that model as its base already.
        from_adapter = (model_folder(start) / "adapter_config.json").exists()
        if from_adapter or not (folder / "adapter_config.json").exists():
            reference = start
    return Training(beta, reference)
