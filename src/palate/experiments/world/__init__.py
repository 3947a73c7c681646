"""The embedded world ("house style"): a small language whose gold reward is known.

A support assistant answers short requests. Prompts carry the fact to answer with; what makes a
reply good is a plain function of text, so over-optimization and label noise can be measured.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.experiments.world.gold import Traits, gold_reward, read_traits
    from palate.experiments.world.grammar import Request, Style, draw_request, read_prompt
    from palate.experiments.world.pairs import (
        LabelStatistics,
        draw_pairs,
        label_ceiling,
        label_statistics,
        preference_probability,
    )
    from palate.experiments.world.replies import Flaw, compose
    from palate.experiments.world.world import (
        DEFAULT_TEMPERATURE,
        MAX_RESPONSE_TOKENS,
        base_model_path,
        gold_rewards,
        world_demonstrations,
        world_prompts,
    )

_HOMES = {
    "DEFAULT_TEMPERATURE": "world",
    "Flaw": "replies",
    "LabelStatistics": "pairs",
    "MAX_RESPONSE_TOKENS": "world",
    "Request": "grammar",
    "Style": "grammar",
    "Traits": "gold",
    "base_model_path": "world",
    "compose": "replies",
    "draw_pairs": "pairs",
    "draw_request": "grammar",
    "gold_reward": "gold",
    "gold_rewards": "world",
    "label_ceiling": "pairs",
    "label_statistics": "pairs",
    "preference_probability": "pairs",
    "read_prompt": "grammar",
    "read_traits": "gold",
    "world_demonstrations": "world",
    "world_prompts": "world",
}

__all__ = [
    "DEFAULT_TEMPERATURE",
    "MAX_RESPONSE_TOKENS",
    "Flaw",
    "LabelStatistics",
    "Request",
    "Style",
    "Traits",
    "base_model_path",
    "compose",
    "draw_pairs",
    "draw_request",
    "gold_reward",
    "gold_rewards",
    "label_ceiling",
    "label_statistics",
    "preference_probability",
    "read_prompt",
    "read_traits",
    "world_demonstrations",
    "world_prompts",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
