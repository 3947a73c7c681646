"""The numbers of a report, pure numpy and scipy: estimates with intervals, never bare means.

Nothing here knows torch, a model or a file. Names load their module on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.measures.baselines import bag_of_words as bag_of_words
    from palate.measures.baselines import longer_wins as longer_wins
    from palate.measures.best_of_n import best_of_n_distribution as best_of_n_distribution
    from palate.measures.best_of_n import kl_of_best as kl_of_best
    from palate.measures.best_of_n import kl_upper_bound as kl_upper_bound
    from palate.measures.calibration import Calibration as Calibration
    from palate.measures.calibration import ReliabilityBin as ReliabilityBin
    from palate.measures.calibration import fit_temperature as fit_temperature
    from palate.measures.calibration import measure_calibration as measure_calibration
    from palate.measures.estimate import Estimate as Estimate
    from palate.measures.estimate import across_seeds as across_seeds
    from palate.measures.estimate import bootstrap_interval as bootstrap_interval
    from palate.measures.estimate import difference_estimate as difference_estimate
    from palate.measures.estimate import mean_estimate as mean_estimate
    from palate.measures.estimate import rate_estimate as rate_estimate
    from palate.measures.frontier import FrontierPoint as FrontierPoint
    from palate.measures.frontier import MatchedDifference as MatchedDifference
    from palate.measures.frontier import OverOptimization as OverOptimization
    from palate.measures.frontier import matched_difference as matched_difference
    from palate.measures.frontier import over_optimized as over_optimized
    from palate.measures.frontier import reward_at_kl as reward_at_kl
    from palate.measures.gate import Check as Check
    from palate.measures.gate import GateLimits as GateLimits
    from palate.measures.gate import GateReport as GateReport
    from palate.measures.gate import PairRewards as PairRewards
    from palate.measures.gate import ProbedRewards as ProbedRewards
    from palate.measures.gate import SampleScores as SampleScores
    from palate.measures.gate import judge_reward as judge_reward
    from palate.measures.length import accuracy_by_length as accuracy_by_length
    from palate.measures.length import length_correlation as length_correlation
    from palate.measures.parting import Reading as Reading
    from palate.measures.parting import have_parted as have_parted
    from palate.measures.text import distinct_2 as distinct_2
    from palate.measures.text import length_in_words as length_in_words
    from palate.measures.text import repetition_rate as repetition_rate
    from palate.measures.winrate import WinRate as WinRate
    from palate.measures.winrate import half_width as half_width
    from palate.measures.winrate import minimum_detectable_effect as minimum_detectable_effect
    from palate.measures.winrate import num_prompts_for_half_width as num_prompts_for_half_width
    from palate.measures.winrate import num_prompts_to_detect as num_prompts_to_detect
    from palate.measures.winrate import sign_test as sign_test
    from palate.measures.winrate import win_rate as win_rate
    from palate.measures.winrate import win_rate_from_verdicts as win_rate_from_verdicts

_MODULES = {
    "baselines": (
        "bag_of_words",
        "longer_wins",
    ),
    "best_of_n": (
        "best_of_n_distribution",
        "kl_of_best",
        "kl_upper_bound",
    ),
    "calibration": (
        "Calibration",
        "ReliabilityBin",
        "fit_temperature",
        "measure_calibration",
    ),
    "estimate": (
        "Estimate",
        "across_seeds",
        "bootstrap_interval",
        "difference_estimate",
        "mean_estimate",
        "rate_estimate",
    ),
    "frontier": (
        "FrontierPoint",
        "MatchedDifference",
        "OverOptimization",
        "matched_difference",
        "over_optimized",
        "reward_at_kl",
    ),
    "gate": (
        "Check",
        "GateLimits",
        "GateReport",
        "PairRewards",
        "ProbedRewards",
        "SampleScores",
        "judge_reward",
    ),
    "length": (
        "accuracy_by_length",
        "length_correlation",
    ),
    "parting": ("Reading", "have_parted"),
    "text": (
        "distinct_2",
        "length_in_words",
        "repetition_rate",
    ),
    "winrate": (
        "WinRate",
        "half_width",
        "minimum_detectable_effect",
        "num_prompts_for_half_width",
        "num_prompts_to_detect",
        "sign_test",
        "win_rate",
        "win_rate_from_verdicts",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
