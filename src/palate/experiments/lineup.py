"""Model folders that are named for a comparison → arms: road, training seeds, start and bill.

What a folder says of itself (palate.json, adapter_config.json, the recipe of the run around it) is
believed, and what contradicts it is refused; what it does not say can be told, or is noted.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from palate.errors import ModelError, UsageError
from palate.experiments.arms import Arm, Kind, Road
from palate.experiments.entries import Entry
from palate.experiments.passport import (
    UNKNOWN,
    Passport,
    Start,
    read_passport,
    start_of,
)
from palate.models.load import load, refuse_unsafe
from palate.models.reward_folder import ADAPTER_CONFIG, SCALE_FILE

# Which road a stage is on; a model of another stage is on none unless it is told.
# Online methods learn from a reward model, and pay for it, whatever their loss.
ROADS: dict[str, Road] = {"dpo": "dpo", "ppo": "rlhf", "online": "rlhf"}
KINDS: dict[str, Kind] = {"sft": "sft", "dpo": "dpo", "ppo": "ppo", "online": "online"}


@dataclass(frozen=True)
class Lineup:
    """The arms of a comparison, the SFT model first, and what is not known of them."""

    arms: list[Arm]
    notes: list[str]


def line_up(entries: Sequence[Entry], *, base: Path, reward: Path | None) -> Lineup:
    """Read what the folders say, and refuse what cannot be compared.

    Args:
        entries: trained models.
        base: the model that all of them started from.
        reward: a reward model that scores every arm.

    Raises:
        UsageError: an entry is no policy, is told a road that it is not on, started elsewhere, or
            arms have different numbers of seeds.
        ModelError: a folder is unsafe, incomplete or damaged.
    """
    arms = [_start_arm(base, reward)]
    known = [_known(entry) for entry in entries]
    common = _Base(base)
    notes: list[str] = []
    for one in known:
        common.refuse_or_note(one, notes)
    runs = {
        name: _by_seed(name, [one for one in known if one.entry.name == name])
        for name in dict.fromkeys(one.entry.name for one in known)
    }
    sharing = Counter(_first(by_seed).reward_folder for by_seed in runs.values())
    arms += [_arm(name, by_seed, sharing, reward, notes) for name, by_seed in runs.items()]
    return Lineup(arms, notes)


@dataclass(frozen=True)
class _Known:
    """An entry and what its folder says."""

    entry: Entry
    passport: Passport | None

    @property
    def reward_folder(self) -> str | None:
        """The reward model that it was trained against."""
        reward = self.passport.reward if self.passport else None
        return reward.folder if reward else None

    @property
    def seed(self) -> int | None:
        """The training seed, by passport or by the recipe of the run folder around the model."""
        found = self.passport.settings.get("seed") if self.passport else None
        recipe = self.entry.folder.parent / "recipe.yaml"
        if found is None and self.entry.folder.name == "model" and recipe.is_file():
            try:
                found = yaml.safe_load(recipe.read_text(encoding="utf-8")).get("seed")
            except (OSError, ValueError, AttributeError, yaml.YAMLError):
                return None
        return found if isinstance(found, int) and not isinstance(found, bool) else None


def _known(entry: Entry) -> _Known:
    if entry.name == "sft":
        raise UsageError(f"{entry}: an arm cannot be named sft; that is the common start (--base)")
    refuse_unsafe(entry.folder)
    if not any((entry.folder / name).is_file() for name in ("config.json", ADAPTER_CONFIG)):
        raise ModelError(
            f"{entry}: the folder holds neither config.json nor {ADAPTER_CONFIG}; name the folder "
            "of a model, of an adapter, or of a run that has ended"
        )
    passport = read_passport(entry.folder)
    if _is_reward(entry.folder, passport):
        raise UsageError(
            f"{entry}: this is a reward model, which answers nothing; give it as --reward, and "
            "policies as arms"
        )
    return _Known(entry, passport)


def _is_reward(folder: Path, passport: Passport | None) -> bool:
    return passport.role == "reward" if passport else (folder / SCALE_FILE).is_file()


def _first(by_seed: Mapping[int, _Known]) -> _Known:
    """The run that stands for the arm where one must: in its settings and its bill."""
    return next(iter(by_seed.values()))


def _start_arm(base: Path, reward: Path | None) -> Arm:
    refuse_unsafe(base)
    passport = read_passport(base)
    if _is_reward(base, passport):
        raise UsageError(
            f"--base {base}: this is a reward model; name the model that all arms started from"
        )
    cost = passport.cost if passport else None
    return Arm("sft", "sft", "sft", "SFT", {0: None}, _scored([0], reward), cost=cost)


def _scored(seeds: Iterable[int], reward: Path | None) -> dict[int, Path]:
    """One reward model for every seed."""
    return dict.fromkeys(seeds, reward) if reward is not None else {}


def _arm(
    name: str,
    by_seed: Mapping[int, _Known],
    sharing: "Counter[str | None]",
    reward: Path | None,
    notes: list[str],
) -> Arm:
    roads = {_road(one) for one in by_seed.values()}
    if len(roads) > 1:
        named = (road or "unknown" for road in roads)
        raise UsageError(
            f"--arm {name}: its folders are on different roads ({', '.join(sorted(named))}); "
            "the folders of one name are training seeds of one arm: give the others another name"
        )
    road = roads.pop()
    first = _first(by_seed)
    passport = first.passport
    if road is None:
        notes.append(
            f"{first.entry}: the folder does not say how it was trained, so that it is on "
            f"neither road and the verdict leaves it out; say --arm dpo:{name}=… or "
            f"--arm rlhf:{name}=…, or yardstick:{name}=… if that is meant"
        )
    settings = _settings(name, by_seed.values())
    return Arm(
        name,
        KINDS.get(passport.stage, "other") if passport else "other",
        road or "yardstick",
        name,
        {seed: one.entry.folder for seed, one in by_seed.items()},
        _scored(by_seed, reward),
        settings,
        passport.road_cost if passport else None,
        passport.shared_cost(sharing[first.reward_folder]) if passport else None,
    )


def _settings(name: str, runs: Iterable[_Known]) -> dict[str, Any]:
    """What sets the arm apart, the same for each of its seeds; nothing where it is not known."""
    known = [dict(one.passport.settings) for one in runs if one.passport]
    for settings in known:
        settings.pop("seed", None)
        if settings != known[0]:
            raise UsageError(
                f"--arm {name}: its folders were trained with different settings ({known[0]} and "
                f"{settings}), so they are not seeds of one arm; give them two names"
            )
    return known[0] if known else {}


def _road(one: _Known) -> Road | None:
    stage, told = one.passport.stage if one.passport else None, one.entry.road
    known = ROADS.get(stage or "")
    if told in ("dpo", "rlhf") and known is not None and told != known:
        raise UsageError(
            f"{one.entry}: it was trained by palate {stage}, so it is on the {known} road; leave "
            f"{told}: out"
        )
    if told is not None:
        return told
    return known or ("yardstick" if stage else None)


def _by_seed(name: str, runs: Sequence[_Known]) -> dict[int, _Known]:
    """Runs in the order of their seeds; a folder that says none takes the next free number."""
    taken: dict[int, _Known] = {}
    for one in runs:
        if one.seed is None:
            continue
        if one.seed in taken:
            raise UsageError(
                f"--arm {name}: {taken[one.seed].entry.folder} and {one.entry.folder} both have "
                f"training seed {one.seed}; train each with a --seed of its own, or give them two "
                "names"
            )
        taken[one.seed] = one
    for one in runs:
        if one.seed is None:
            taken[next(number for number in itertools.count() if number not in taken)] = one
    return {seed: taken[seed] for seed in sorted(taken)}


class _Base:
    """The common start, and whether an arm can have started from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _start(self) -> Start:
        return start_of(load(self._folder))

    def refuse_or_note(self, one: _Known, notes: list[str]) -> None:
        """Refuse an arm that says that it started elsewhere; note one that does not say."""
        start = one.passport.start if one.passport else None
        if start is not None and start.dtype == self._start.dtype:
            same_adapter = start.adapter in (self._start.adapter, UNKNOWN)
            if start.weights != self._start.weights or not same_adapter:
                raise self._contradiction(one, start.name)
            if start.adapter != UNKNOWN:
                return
        elif start is None and (name := _adapter_base(one.entry.folder)) is not None:
            if not Path(name).is_dir():
                same = name == self._start.name
            else:
                same = start_of(load(name)).weights == self._start.weights
                if not same:
                    raise self._contradiction(one, name)
            if same and self._start.adapter is None:
                return
        notes.append(
            f"{one.entry}: the folder does not say for certain what it was trained from; that it "
            f"started from --base {self._folder} is taken on trust"
        )

    def _contradiction(self, one: _Known, name: str) -> UsageError:
        return UsageError(
            f"{one.entry}: it was trained from {name}, whose weights are not those of --base "
            f"{self._folder}; KL and gains are measured from the common start: name that as "
            "--base, and leave arms from elsewhere out"
        )


def _adapter_base(folder: Path) -> str | None:
    """The base that an adapter folder names; a folder beside it may be named relative to it."""
    path = folder / ADAPTER_CONFIG
    if not path.is_file():
        return None
    name = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not name:
        return None
    beside = (folder / name).resolve()
    return str(beside) if beside.is_dir() else str(name)
