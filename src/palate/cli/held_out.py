"""Pairs that a reward model was not trained on, as far as they are known."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palate.cli.recipe import read_recipe
from palate.cli.sources import PPOSources
from palate.data.layout import layout_of
from palate.data.records import Preference
from palate.data.sources import read_preferences
from palate.data.splits import split_by_prompt

if TYPE_CHECKING:
    from palate.experiments.reward_gate import GateRule

Pairs = Callable[[], list[Preference]]
NUM_WORLD_PAIRS = 400


def gate_rule(
    sources: PPOSources, reward: Path | None, *, world: Pairs | None = None
) -> "GateRule":
    """What PPO does about its reward model's gate.

    Args:
        sources: of the recipe.
        reward: the reward model's folder; None where one is trained on the embedded world.
        world: gives pairs of the embedded world, where that is what the run is on.
    """
    from palate.experiments.reward_gate import GateRule

    pairs = world
    if sources.gate_data is not None:
        pairs = pairs_in(sources.gate_data)
    elif reward is not None:
        pairs = held_out_of(reward) or world
    return GateRule(sources.reward_gate, pairs)


def pairs_in(path: str) -> Pairs:
    """The pairs of a file, which is read when they are asked for."""
    return lambda: read_preferences(path).records


def held_out_of(folder: Path) -> Pairs | None:
    """The pairs that the run around a reward model held out; None where it held out none.

    They are what recipe.yaml names: its evaluation file, or the prompts that it parted from its
    training file.
    """
    written = folder.parent / "recipe.yaml"
    if folder.name != "model" or not written.exists():
        return None
    recipe = read_recipe(written).values
    how: dict[str, Any] = {"layout": layout_of(recipe), "skip_bad": recipe.get("skip_bad") is True}
    evaluation, data = recipe.get("eval_data"), recipe.get("data")
    if isinstance(evaluation, str) and Path(evaluation).exists():
        return lambda: read_preferences(evaluation, **how).records
    fraction = recipe.get("eval_fraction")
    if isinstance(data, str) and Path(data).exists() and isinstance(fraction, float) and fraction:

        def parted() -> list[Preference]:
            records = read_preferences(data, **how).records
            return split_by_prompt(records, eval_fraction=fraction).eval

        return parted
    return None


def world_pairs(sft: Path, seed: int) -> Pairs:
    """Pairs of an SFT model of the embedded world on prompts that nothing is trained on."""

    def draw() -> list[Preference]:
        from palate.cli.inputs import model_folder
        from palate.experiments.embedded import draw_world_pairs
        from palate.models.load import load

        loaded = load(model_folder(str(sft)))
        return draw_world_pairs(loaded, num_pairs=NUM_WORLD_PAIRS, seed=seed, split="heldout")

    return draw
