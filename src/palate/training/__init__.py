"""Loops that change weights, and what every loop has in common; settings need no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.training.checkpoint import Checkpoint as Checkpoint
    from palate.training.checkpoint import latest_checkpoint as latest_checkpoint
    from palate.training.checkpoint import load_checkpoint as load_checkpoint
    from palate.training.checkpoint import save_checkpoint as save_checkpoint
    from palate.training.dpo import evaluate_pairs as evaluate_pairs
    from palate.training.dpo import train_dpo as train_dpo
    from palate.training.folder import RunFolder as RunFolder
    from palate.training.journal import METRICS as METRICS
    from palate.training.journal import Metric as Metric
    from palate.training.journal import read_metrics as read_metrics
    from palate.training.online import train_online as train_online
    from palate.training.online_rollout import evaluate_online as evaluate_online
    from palate.training.online_settings import OnlineSettings as OnlineSettings
    from palate.training.pair_scores import score_pairs as score_pairs
    from palate.training.ppo import evaluate_policy as evaluate_policy
    from palate.training.ppo import train_ppo as train_ppo
    from palate.training.reward import evaluate_rewards as evaluate_rewards
    from palate.training.reward import train_reward as train_reward
    from palate.training.run import Listener as Listener
    from palate.training.run import Result as Result
    from palate.training.run import Run as Run
    from palate.training.session import Session as Session
    from palate.training.settings import DPOSettings as DPOSettings
    from palate.training.settings import PPOSettings as PPOSettings
    from palate.training.settings import RewardSettings as RewardSettings
    from palate.training.settings import SamplingSettings as SamplingSettings
    from palate.training.settings import SFTSettings as SFTSettings
    from palate.training.settings import StageSettings as StageSettings
    from palate.training.sft import evaluate_demonstrations as evaluate_demonstrations
    from palate.training.sft import train_sft as train_sft

_MODULES = {
    "checkpoint": ("Checkpoint", "latest_checkpoint", "load_checkpoint", "save_checkpoint"),
    "dpo": ("evaluate_pairs", "train_dpo"),
    "online": ("train_online",),
    "online_rollout": ("evaluate_online",),
    "online_settings": ("OnlineSettings",),
    "pair_scores": ("score_pairs",),
    "folder": ("RunFolder",),
    "journal": ("METRICS", "Metric", "read_metrics"),
    "ppo": ("evaluate_policy", "train_ppo"),
    "reward": ("evaluate_rewards", "train_reward"),
    "run": ("Listener", "Result", "Run"),
    "session": ("Session",),
    "settings": (
        "DPOSettings",
        "PPOSettings",
        "RewardSettings",
        "SFTSettings",
        "SamplingSettings",
        "StageSettings",
    ),
    "sft": ("evaluate_demonstrations", "train_sft"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
