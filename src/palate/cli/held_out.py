"""Pairs that a reward model was not trained on, as far as they are known."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palate.cli.output import say
from palate.cli.recipe import read_recipe
from palate.cli.sources import PPOSources
from palate.data.layout import layout_of
from palate.data.records import Preference
from palate.data.sources import read_preferences
from palate.data.splits import split_by_prompt
from palate.errors import UsageError
from palate.experiments.reward_source import RewardSource

if TYPE_CHECKING:
    from palate.data.render import Renderer

Pairs = Callable[[], list[Preference]]
NUM_WORLD_PAIRS = 400


def gated(reward: RewardSource, sources: PPOSources, *, world: Pairs | None = None) -> RewardSource:
    """A reward source with what is done about its gate; functions and judges have none.

    Args:
        reward: of the recipe, or the embedded world's own.
        sources: of the recipe.
        world: gives pairs of the embedded world, where that is what the run is on.
    """
    from palate.experiments.reward_gate import GateRule

    if reward.folder is None:
        return reward
    if sources.gate_data is not None:
        pairs: Pairs | None = pairs_in(sources.gate_data)
    else:
        pairs = held_out_of(reward.folder) or world
    return replace(reward, gate=GateRule(sources.reward_gate, pairs))


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


def tell_gate(rewards: Sequence[RewardSource], sources: PPOSources) -> None:
    """Say of the gate's options that they have no effect where no reward is a reward model."""
    if any(reward.folder is not None for reward in rewards):
        return
    given = {"--reward-gate": sources.reward_gate != "require", "--gate-data": sources.gate_data}
    for flag in (flag for flag, said in given.items() if said):
        say(f"{flag} has no effect: only reward models have a gate, and none is among --reward")


def pairs_to_check(
    folder: Path, data: str | None, *, start: str | None, renderer: "Renderer"
) -> Pairs:
    """Pairs for the gate of a reward model: those that are named, held out, or of its world.

    Args:
        folder: of the reward model.
        data: a file of pairs.
        start: the model that the reward model started from; None where it is not known.
        renderer: the reward model's.

    Raises:
        UsageError: there are none.
    """
    from palate.experiments.reward_gate import is_of_world

    pairs = pairs_in(data) if data else held_out_of(folder)
    if pairs is not None:
        return pairs
    if start is None or not is_of_world(renderer):
        raise UsageError(
            "--data is missing: the reward model's run held out no pairs, and it is none of the "
            "embedded world; give pairs that it was not trained on"
        )
    say("check-reward: on held-out pairs of the embedded world (give --data for your own)")
    return world_pairs(Path(start), seed=0)


def world_pairs(sft: Path, seed: int) -> Pairs:
    """Pairs of an SFT model of the embedded world on prompts that nothing is trained on."""

    def draw() -> list[Preference]:
        from palate.cli.inputs import model_folder
        from palate.experiments.embedded import draw_world_pairs
        from palate.models.load import load

        loaded = load(model_folder(str(sft)))
        return draw_world_pairs(loaded, num_pairs=NUM_WORLD_PAIRS, seed=seed, split="heldout")

    return draw
