"""One stage as a run: records and a model in, a run folder with a trained model out.

Models and rows are made ready, and so found wanting, before the folder is touched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from palate.data.grow import comparison_trees, demonstration_trees, preference_trees, prompt_trees
from palate.data.records import Demonstration, Preference, Prompt
from palate.data.render import Renderer
from palate.data.token_cache import cached_trees
from palate.data.trees import Tree
from palate.experiments.cost import Cost, Ledger, metered
from palate.experiments.hashes import rewards_hash
from palate.experiments.passport import RewardBill, start_of
from palate.experiments.prepare import add_value, policy_roles, reward_roles
from palate.experiments.reward_gate import GateRule
from palate.experiments.reward_source import RewardSource
from palate.experiments.rewards import take_reward, watch_reward
from palate.experiments.work import Outcome as Outcome
from palate.experiments.work import Rows, Work
from palate.models.load import Loaded
from palate.models.protocols import Reward
from palate.models.reference import ReferenceCache
from palate.models.roles import Roles
from palate.training.dpo import train_dpo
from palate.training.folder import RunFolder
from palate.training.online import train_online
from palate.training.online_settings import OnlineSettings
from palate.training.pair_scores import strangers_of
from palate.training.ppo import train_ppo
from palate.training.reward import train_reward
from palate.training.run import Listener, Result, Run
from palate.training.settings import (
    DPOSettings,
    PPOSettings,
    RewardSettings,
    SamplingSettings,
    SFTSettings,
    StageSettings,
)
from palate.training.sft import train_sft
from palate.training.trackers import tracking

Record = TypeVar("Record")


@dataclass(frozen=True)
class Frame:
    """How a run meets its folder, and who follows it.

    Attributes:
        resume: continue the run in `output_dir`.
        overwrite: replace the run in `output_dir`.
        listeners: told of steps and rows of the log.
    """

    resume: bool = False
    overwrite: bool = False
    listeners: Sequence[Listener] = field(default_factory=tuple)


def run_sft(
    settings: SFTSettings,
    loaded: Loaded,
    demonstrations: Sequence[Demonstration],
    *,
    eval_demonstrations: Sequence[Demonstration] = (),
    frame: Frame | None = None,
) -> Outcome:
    """Supervised fine-tuning into `settings.output_dir`."""
    renderer = Renderer(loaded.tokenizer)
    rows = _rows(demonstration_trees, demonstrations, eval_demonstrations, renderer, settings)
    roles = policy_roles(loaded, settings, with_reference=False)
    work = Work("sft", "policy", roles, settings, renderer, rows, start_of(loaded))

    def learn(run: Run) -> Result:
        return train_sft(roles, rows.train, settings, eval_demonstrations=rows.held_out, run=run)

    return _carry_out(work, learn, frame)


def run_dpo(
    settings: DPOSettings,
    loaded: Loaded,
    pairs: Sequence[Preference | Demonstration],
    *,
    eval_pairs: Sequence[Preference | Demonstration] = (),
    cache: ReferenceCache | None = None,
    cache_cost: Cost | None = None,
    frame: Frame | None = None,
) -> Outcome:
    """Direct preference optimization into `settings.output_dir`.

    `cache` is shared with other runs from the same start and rows; `cache_cost` is what filling
    it took, which goes on the bill of each: alone, each would have had to pay it.
    """
    renderer = Renderer(loaded.tokenizer)
    rows = _rows(comparison_trees, pairs, eval_pairs, renderer, settings)
    roles = policy_roles(
        loaded, settings, with_reference=settings.needs_reference,
        moving_reference=settings.moves_reference,
    )  # fmt: skip
    work = Work("dpo", "policy", roles, settings, renderer, rows, start_of(loaded))

    def learn(run: Run) -> Result:
        return train_dpo(
            roles, rows.train, settings, eval_pairs=rows.held_out, cache=cache, run=run
        )

    return _carry_out(work, learn, frame, earlier=cache_cost)


def fill_reference(
    cache: ReferenceCache,
    settings: DPOSettings,
    loaded: Loaded,
    pairs: Sequence[Preference | Demonstration],
    *,
    eval_pairs: Sequence[Preference | Demonstration] = (),
) -> Cost:
    """Score rows under the model that training starts from; what that cost.

    Nothing is scored where no loss looks at a reference, or where it moves and each run has to
    score for itself.
    """
    rows = _rows(comparison_trees, pairs, eval_pairs, Renderer(loaded.tokenizer), settings)
    roles = policy_roles(loaded, settings, with_reference=settings.fixes_reference)
    with metered(roles) as cost:
        if settings.fixes_reference:
            for some in (rows.train, rows.held_out):
                cache.fill(roles, [*some, *strangers_of(some, settings)])
    return cost


def run_reward(
    settings: RewardSettings,
    loaded: Loaded,
    pairs: Sequence[Preference],
    *,
    eval_pairs: Sequence[Preference] = (),
    frame: Frame | None = None,
) -> Outcome:
    """A reward model into `settings.output_dir`."""
    renderer = Renderer(loaded.tokenizer)
    rows = _rows(preference_trees, pairs, eval_pairs, renderer, settings)
    roles = reward_roles(loaded, settings)
    work = Work("reward", "reward", roles, settings, renderer, rows, start_of(loaded))

    def learn(run: Run) -> Result:
        return train_reward(
            roles, rows.train, settings, end_tokens=renderer.end_token_ids,
            eval_pairs=rows.held_out, run=run,
        )  # fmt: skip

    return _carry_out(work, learn, frame)


def run_ppo(
    settings: PPOSettings,
    loaded: Loaded,
    prompts: Sequence[Prompt],
    *,
    reward: Path | Reward | Sequence[RewardSource],
    gold: Reward | Sequence[RewardSource] | None = None,
    gate: GateRule | None = None,
    eval_prompts: Sequence[Prompt] = (),
    frame: Frame | None = None,
) -> Outcome:
    """PPO against a reward model's folder, reward sources or any reward, into `output_dir`.

    `gold` is only watched, beside the reward that is optimized. `gate` says what
    is done about the gate of the reward model in the folder (a source has its own rule); None
    requires that it was checked and is fit.

    Raises:
        GateError: the reward model is not fit to be optimized against; nothing was trained.
    """
    renderer = Renderer(loaded.tokenizer)
    rows = _rows(prompt_trees, prompts, eval_prompts, renderer, settings)
    roles = policy_roles(loaded, settings)
    add_value(roles, loaded, settings)
    rewards = _take_rewards(
        roles, settings, reward=reward, gold=gold, gate=gate,
        uncertainty_coef=settings.uncertainty_coef,
    )  # fmt: skip
    work = Work(
        "ppo", "policy", roles, settings, renderer, rows, start_of(loaded), rewards.bill,
        rewards.hash,
    )  # fmt: skip

    def learn(run: Run) -> Result:
        return train_ppo(
            roles, rows.train, settings, reward=rewards.optimized,
            end_tokens=renderer.end_token_ids, eval_prompts=rows.held_out, gold=rewards.watched,
            run=run,
        )  # fmt: skip

    return _carry_out(work, learn, frame)


def run_online(
    settings: OnlineSettings,
    loaded: Loaded,
    prompts: Sequence[Prompt],
    *,
    reward: Path | Reward | Sequence[RewardSource],
    gold: Reward | Sequence[RewardSource] | None = None,
    gate: GateRule | None = None,
    eval_prompts: Sequence[Prompt] = (),
    frame: Frame | None = None,
) -> Outcome:
    """An online method against the rewards that `run_ppo` takes, into `settings.output_dir`.

    `gold` is only watched, in evaluations.

    Raises:
        GateError: the reward model is not fit to be optimized against; nothing was trained.
    """
    renderer = Renderer(loaded.tokenizer)
    rows = _rows(prompt_trees, prompts, eval_prompts, renderer, settings)
    roles = policy_roles(loaded, settings, moving_reference=settings.moves_reference)
    rewards = _take_rewards(roles, settings, reward=reward, gold=gold, gate=gate)
    work = Work(
        "online", "policy", roles, settings, renderer, rows, start_of(loaded), rewards.bill,
        rewards.hash,
    )  # fmt: skip

    def learn(run: Run) -> Result:
        return train_online(
            roles, rows.train, settings, reward=rewards.optimized,
            end_tokens=renderer.end_token_ids, eval_prompts=rows.held_out, gold=rewards.watched,
            run=run,
        )  # fmt: skip

    return _carry_out(work, learn, frame)


@dataclass(frozen=True)
class _Rewards:
    """What is optimized, what is watched beside it, the reward models' bill, and a hash."""

    optimized: Reward
    watched: Reward | None
    bill: RewardBill | None
    hash: str


def _take_rewards(
    roles: Roles,
    settings: SamplingSettings,
    *,
    reward: Path | Reward | Sequence[RewardSource],
    gold: Reward | Sequence[RewardSource] | None,
    gate: GateRule | None,
    uncertainty_coef: float = 0.0,
) -> _Rewards:
    """Rewards as a loop takes them; a reward model must pass its gate."""
    bill, told = None, ""
    if isinstance(reward, Path):
        reward = [RewardSource(str(reward), folder=reward, gate=gate)]
    if isinstance(reward, Sequence):
        told = rewards_hash(reward)
        taken = take_reward(
            reward, roles, max_length=settings.max_length, max_new_tokens=settings.max_new_tokens,
            uncertainty_coef=uncertainty_coef,
        )  # fmt: skip
        reward, bill = taken.reward, taken.bill
    if isinstance(gold, Sequence):
        gold = watch_reward(gold, roles) if gold else None
    return _Rewards(reward, gold, bill, told)


def _rows(
    grow: Callable[..., tuple[list[Tree], int]],
    records: Sequence[Record],
    held_out: Sequence[Record],
    renderer: Renderer,
    settings: StageSettings,
) -> Rows:
    def grown(some: Sequence[Any]) -> tuple[Sequence[Tree], int]:
        limits: dict[str, Any] = {"max_length": settings.max_length, "overlong": settings.overlong}
        if grow is prompt_trees:  # prompts keep their records beside their tokens
            return grow(some, renderer, **limits)
        return cached_trees(grow, some, renderer, **limits)

    trees, num_dropped = grown(records)
    kept, num_dropped_eval = grown(held_out) if held_out else ([], 0)
    return Rows(trees, kept, num_dropped, num_dropped_eval)


def _carry_out(
    work: Work,
    learn: Callable[[Run], Result],
    frame: Frame | None,
    *,
    earlier: Cost | None = None,
) -> Outcome:
    """Hold the folder, train, and leave the model in it; `earlier` work is on the bill too."""
    frame = frame or Frame()
    identity = work.identity()
    folder = RunFolder(work.settings.output_dir)
    with (
        folder.open(resume=frame.resume, overwrite=frame.overwrite),
        tracking(work.settings, stage=work.stage, folder=folder) as trackers,
    ):
        ledger = Ledger(folder.path, resume=frame.resume)
        listeners = (*frame.listeners, *trackers)
        run = work.begin(folder, identity=identity, resume=frame.resume, listeners=listeners)
        with ledger.metered(work.roles) as cost:
            result = learn(run)
        bill = ledger.total()
        if earlier is not None:
            cost, bill = earlier.plus(cost), bill and earlier.plus(bill)
        return work.close(folder, result, cost=cost, bill=bill)
