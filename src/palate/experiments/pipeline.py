"""The picture of both roads as boxes, each with this run's bill: three stages against one."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from palate.experiments.ink import INKS, STYLE, to_svg
from palate.experiments.table import (
    NOT_MEASURED,
    count,
    flops,
    plain,
    seconds,
    shortened,
    size,
    total,
)


def pipeline_figure(results: Mapping[str, Any]) -> str:
    """Both roads as boxes with this run's figures: RLHF's three stages above DPO's one after SFT.

    Returns:
        An `<svg>` element; a stage without figures says "not measured".
    """
    stages = {(row["road"], row["stage"]): row for row in results.get("pipeline", ())}
    reward, ppo = stages.get(("rlhf", "reward"), {}), stages.get(("rlhf", "ppo"), {})
    dpo = stages.get(("dpo", "dpo"), {})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.6, 5.8))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(0, 116)
        axes.set_ylim(0, 58)
        axes.axis("off")
        sft = stages.get(("shared", "sft"), {})
        _box(axes, (1, 16), "SFT", sft, "sft", source="from demonstrations")
        _box(axes, (34, 32), "Reward model", reward, "rlhf", source="from preference pairs")
        _box(axes, (64, 32), "PPO", ppo, "rlhf", source="from its own samples")
        _box(axes, (34, 1), "DPO", dpo, "dpo", source="from preference pairs")
        _arrow(axes, (26, 31), (34, 40), "rlhf")
        _arrow(axes, (59, 43), (64, 43), "rlhf")
        _arrow(axes, (26, 23), (34, 15), "dpo")
        _sum(axes, (92, 43), "RLHF after SFT", (reward, ppo), "rlhf")
        _sum(axes, (62, 12), "DPO after SFT", (dpo,), "dpo")
        words = (
            f"RLHF trains a reward model ({seconds(reward.get('wall_s'))}) and then a policy by "
            f"PPO ({seconds(ppo.get('wall_s'))}); DPO trains the policy on the pairs themselves "
            f"({seconds(dpo.get('wall_s'))}). Both start from one SFT model."
        )
        return to_svg(figure, name="pipeline", title=words)


def _box(
    axes: Axes,
    corner: tuple[int, int],
    title: str,
    stage: Mapping[str, Any],
    road: str,
    *,
    source: str,
) -> None:
    """A stage: what it learns from, its name, five measured lines; 25 wide and 22 high."""
    x, y = corner
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            25,
            22,
            boxstyle="round,pad=0,rounding_size=1.2",
            facecolor=INKS["card"],
            edgecolor=INKS[road],
            linewidth=2,
        )
    )
    axes.text(
        *(x + 1.4, y + 18.2, shortened(plain(stage.get("label") or title), 24)),
        color=INKS[road],
        fontweight="bold",
        fontsize=14,
    )
    axes.text(x + 12.5, y + 23, source, ha="center", color=INKS["muted"], fontsize=12)
    lines = (
        ("time", seconds(stage.get("wall_s"))),
        ("compute", flops(stage.get("flops"))),
        ("sampled", _tokens(stage.get("tokens_sampled"))),
        ("peak memory", size(stage.get("peak_rss_bytes"))),
        ("models held", count(stage.get("models_resident"))),
    )
    for row, (what, value) in enumerate(lines):
        at = y + 14.4 - 3.1 * row
        axes.text(x + 1.4, at, what, color=INKS["muted"], fontsize=12)
        axes.text(x + 23.6, at, value, ha="right", fontsize=12)


def _sum(
    axes: Axes,
    at: tuple[int, int],
    title: str,
    stages: Sequence[Mapping[str, Any]],
    road: str,
) -> None:
    x, y = at
    axes.text(x, y + 3.2, title, color=INKS[road], fontweight="bold", fontsize=14)
    wall = total([stage.get("wall_s") for stage in stages])
    work = total([stage.get("flops") for stage in stages])
    sampled = total([stage.get("tokens_sampled") for stage in stages])
    for row, words in enumerate((seconds(wall), flops(work), f"{_tokens(sampled)} sampled")):
        axes.text(x, y - 3.2 * row, words, fontsize=13)


def _arrow(axes: Axes, start: tuple[int, int], end: tuple[int, int], road: str) -> None:
    style = {"arrowstyle": "-|>", "color": INKS[road], "linewidth": 2, "mutation_scale": 18}
    axes.annotate("", end, xytext=start, arrowprops=style)


def _tokens(value: object) -> str:
    words = count(value)
    return words if words == NOT_MEASURED else f"{words} tokens"
