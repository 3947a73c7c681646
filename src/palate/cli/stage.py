"""A training command: flags and recipe → rows and model → one run → what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml

from palate.cli.folder import forget_unfinished, not_resumable, nothing_half_written
from palate.cli.held_out import gated, tell_gate, world_pairs
from palate.cli.inputs import Inputs, Reader, load_model, read_rows
from palate.cli.options import RUN_SWITCHES, Command, kebab, with_options
from palate.cli.output import only_json, print_json, say
from palate.cli.recipe import STAGE, Recipe, check_keys, read_recipe, resolve, whence
from palate.cli.sources import PPOSources, SFTSources, Sources, sources_of
from palate.errors import RecipeError, UsageError
from palate.experiments.reward_source import JUDGE_CACHE, RewardSource, reward_sources
from palate.training.settings import StageSettings
from palate.training.stop_on import REASON

if TYPE_CHECKING:
    from palate.experiments.run import Frame, Outcome


@dataclass(frozen=True)
class Stage:
    """What differs between the training commands.

    Attributes:
        name: of the command.
        settings: its settings.
        sources: where its model and rows come from.
        read: reads a file of its rows.
        run: runs it.
    """

    name: str
    settings: type[Any]
    sources: type[Sources]
    read: Reader
    run: "Callable[[Any, Inputs, Frame], Outcome]"


def training_command(stage: Stage) -> Command:
    """The function that typer calls, with every setting as an option."""

    def command(**flags: Any) -> None:
        _train(stage, flags)

    return with_options(command, stage.sources, stage.settings, switches=RUN_SWITCHES)


def _train(stage: Stage, flags: dict[str, Any]) -> None:
    switches = {switch.name: flags.pop(switch.name) for switch in RUN_SWITCHES}
    resume, overwrite, as_json = (switches[k] for k in ("resume", "overwrite", "as_json"))
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other; give one of them")
    flags = {name: value for name, value in flags.items() if value is not None}
    recipe = _find_recipe(stage, switches["config"], resume, flags)
    check_keys(recipe, stage=stage.name, settings=stage.settings, sources=stage.sources)
    sources = _find_sources(stage, recipe, flags)
    with only_json(as_json):
        base = _world_recipe(stage.name) if sources.is_world else {}
        settings = resolve(stage.settings, base=base, recipe=recipe, flags=flags)
        folder = Path(settings.output_dir)
        with nothing_half_written(folder, resume=resume, overwrite=overwrite):
            inputs = _find_inputs(stage, sources, settings, folder)
            outcome = _run(stage, settings, inputs, sources, resume=resume, overwrite=overwrite)
    if as_json:
        print_json(outcome.to_json())
    else:
        _describe(outcome)
    if outcome.result.stop_reason.startswith(REASON):
        raise typer.Exit(4)


def _find_recipe(stage: Stage, config: str | None, resume: bool, flags: dict[str, Any]) -> Recipe:
    if config is not None:
        return read_recipe(config)
    if not resume:
        return Recipe()
    default = stage.settings().output_dir
    written = Path(flags.get("output_dir", default)) / "recipe.yaml"
    return read_recipe(written) if written.exists() else Recipe()


def _find_sources(stage: Stage, recipe: Recipe, flags: dict[str, Any]) -> Sources:
    try:
        sources = sources_of(stage.sources, {**recipe.values, **flags})
    except RecipeError as error:
        raise RecipeError(f"{whence(str(error), recipe, flags)}{error}") from None
    name = f"palate {stage.name}"
    if (sources.model is None) != (sources.data is None):
        given, lacking = ("--model", "--data") if sources.data is None else ("--data", "--model")
        raise UsageError(
            f"{name}: {given} without {lacking}; give both, or neither to run on the embedded world"
        )
    if sources.is_world and (sources.eval_data or sources.eval_fraction):
        raise UsageError(f"{name}: the embedded world has evaluation rows of its own; give --data")
    if isinstance(sources, PPOSources) and not sources.is_world and sources.reward is None:
        raise UsageError(f"{name}: --reward is missing; train one with palate reward and name it")
    return sources


def _world_recipe(stage: str) -> dict[str, Any]:
    """The embedded world's settings of a stage where they differ from the defaults."""
    from palate.experiments.embedded import world_settings

    settings = world_settings(stage).to_mapping()
    return {name: value for name, value in settings.items() if name not in ("output_dir", "seed")}


def _find_inputs(stage: Stage, sources: Sources, settings: StageSettings, folder: Path) -> Inputs:
    from palate.experiments.embedded import gold_function, world_stage_inputs
    from palate.models.load import refuse_unsafe

    rewards: list[RewardSource] = []
    golds: list[RewardSource] = []
    if isinstance(sources, PPOSources):
        cache = folder / JUDGE_CACHE
        rewards = reward_sources(sources.reward or (), cache=cache)
        golds = reward_sources(sources.gold or (), flag="--gold", cache=cache)
    for source in (*rewards, *golds):
        if source.folder is not None:
            refuse_unsafe(source.folder)
    if sources.is_world:
        say(f"{stage.name}: on the embedded world (give --model and --data for your own)")
        world = folder / f"world-seed-{settings.seed}"
        forget_unfinished(world)
        with not_resumable("the embedded world was prepared"):
            found = world_stage_inputs(stage.name, world, seed=settings.seed)
        if isinstance(sources, PPOSources):
            pairs = world_pairs(world / "sft", settings.seed)
            if not rewards and found.reward is not None:
                rewards = [RewardSource(str(found.reward), folder=found.reward)]
            tell_gate(rewards, sources)
            rewards = [gated(one, sources, world=pairs) for one in rewards]
            golds = golds or [RewardSource("the world's gold reward", function=gold_function)]
        return Inputs(found.loaded, [*found.train], [*found.eval], rewards, golds)
    read = stage.read
    if isinstance(sources, SFTSources) and sources.use_chosen:
        read = partial(read, use_chosen=True)
    train, held_out = read_rows(sources, read, rejects_folder=folder)
    assert sources.model is not None
    if isinstance(sources, PPOSources):
        tell_gate(rewards, sources)
        rewards = [gated(one, sources) for one in rewards]
    return Inputs(load_model(sources.model), train, held_out, rewards, golds)


def _run(
    stage: Stage,
    settings: StageSettings,
    inputs: Inputs,
    sources: Sources,
    *,
    resume: bool,
    overwrite: bool,
) -> "Outcome":
    from palate.experiments.run import Frame

    note = _SourcesNote(Path(settings.output_dir) / "recipe.yaml", stage.name, sources)
    return stage.run(settings, inputs, Frame(resume, overwrite, (note,)))


@dataclass
class _SourcesNote:
    """Adds to recipe.yaml, at the first step, where model and rows came from.

    So a run can be resumed from its folder alone, and repeated with --config.
    """

    path: Path
    stage: str
    sources: Sources
    written: bool = field(default=False)

    def on_step(self, step: int, num_steps: int) -> bool:
        if not self.written:
            recipe = yaml.safe_load(self.path.read_text(encoding="utf-8"))
            recipe = {STAGE: self.stage, **self.sources.to_mapping()} | {
                k: v for k, v in recipe.items() if k not in (STAGE, "model")
            }
            draft = self.path.with_suffix(".tmp")
            text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
            draft.write_text(text, encoding="utf-8")
            draft.replace(self.path)
            self.written = True
        return False

    def on_log(self, step: int, metrics: Any) -> None:
        """Rows of the log are of no interest."""


def _describe(outcome: "Outcome") -> None:
    result = outcome.result
    print(
        f"{outcome.stage}: {result.steps} steps, {result.examples} examples, {result.tokens} "
        f"tokens in {result.train_seconds:.1f} s"
    )
    for count, what in ((outcome.num_dropped, "rows"), (outcome.num_dropped_eval, "held-out rows")):
        if count:
            print(f"  {count} {what} were longer than --{kebab('max_length')}: dropped")
    for name, value in sorted(result.metrics.items()):
        print(f"  {name:<28} {value:.4g}")
    print(f"model: {outcome.model_dir}")
