"""Reward against KL, in pictures: the frontier of both roads, and an arm that went too far."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from palate.experiments.ink import INKS, STYLE, to_svg
from palate.experiments.table import (
    NOT_MEASURED,
    in_road_order,
    judged_by,
    label_of,
    measured,
    plain,
    shortened,
)
from palate.experiments.verdict import NO_VERDICT
from palate.measures.frontier import reward_at_kl

_ROAD_NAMES = {"dpo": "DPO", "rlhf": "RLHF", "yardstick": "Yardstick"}
_MARKERS = {"sft": "D", "dpo": "o", "rlhf": "s", "yardstick": "^"}


def frontier_figure(results: Mapping[str, Any]) -> str:
    """Reward against KL to the SFT model: what each road buys for the same distance.

    The horizontal axis is spaced by √KL, in which a road is close to straight before it is
    over-optimized (Gao, Schulman and Hilton 2022, arXiv:2210.10760), and labelled in nats. The
    reward is gold, or proxy in a comparison without gold; arms without it or a KL are left out.

    Returns:
        An `<svg>` element without a namespace, for HTML.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 5.6), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(axis="y", linewidth=0.8)
        axes.set_axisbelow(True)
        roads = _roads(results)
        sft = next((point for point in roads.get("sft", ())), None)
        for road in ("yardstick", "dpo", "rlhf"):
            if roads.get(road):
                lower = road == _lower_road(roads)
                _draw_road(axes, road, roads[road], sft, label_below=lower)
        if sft is not None:
            axes.errorbar(
                *([0.0], [float(sft["reward"]["value"])], _errors(sft["reward"])),
                **_marks("sft", filled=True),
                capsize=3.0,
                label=shortened(plain(sft["label"]), 24),
            )
        if any(roads.get(road) for road in _ROAD_NAMES):
            _draw_match(axes, results, roads, sft)
            axes.margins(y=0.16)
            _label_in_nats(axes)
            figure.legend(loc="outside upper left", ncols=4, frameon=False)
        else:
            axes.text(0.5, 0.5, NOT_MEASURED, transform=axes.transAxes, ha="center")
            axes.set_xticks([0.0], ["0"])
            axes.set_xlim(-0.03, 1.0)
        axes.set_xlabel("KL to the SFT model (nats per response; axis spaced by √KL)")
        axes.set_ylabel(plain(results.get("unit_gold") or f"{judged_by(results)} reward"))
        return to_svg(figure, name="frontier", title=_frontier_words(judged_by(results), roads))


def over_optimization_figure(results: Mapping[str, Any]) -> str | None:
    """Proxy and gold reward of the flagged arm: where one still rises and the other falls.

    Against KL where every point has one, else against the training step.

    Returns:
        An `<svg>` element, or None where no arm was flagged or fewer than two points have a
        gold reward.
    """
    flagged = results.get("over_optimization")
    if flagged is None:
        return None
    by_kl = all(point.get("kl") is not None for point in flagged["points"])
    x_key = "kl" if by_kl else "step"
    points = sorted(flagged["points"], key=lambda point: float(point[x_key]))
    golds = [point for point in points if point.get("gold") is not None]
    proxies = [point for point in points if point.get("proxy") is not None]
    if len(golds) < 2:
        return None
    peak = max(golds, key=lambda point: float(point["gold"]))

    def place(point: Mapping[str, Any]) -> float:
        return math.sqrt(max(0.0, float(point["kl"]))) if by_kl else float(point["step"])

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 5.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        for axes, key, rows, ink in (
            (upper, "proxy", proxies, INKS["muted"]),
            (lower, "gold", golds, INKS["rlhf"]),
        ):
            xs, ys = [place(point) for point in rows], [float(point[key]) for point in rows]
            axes.plot(xs, ys, color=ink, marker="o", markersize=6, linewidth=2)
            axes.axvline(place(peak), color=INKS["ink"], linewidth=1, linestyle=(0, (2, 3)))
            axes.axvspan(place(peak), xs[-1], color=INKS["rule"], alpha=0.4, linewidth=0)
            axes.grid(axis="y", linewidth=0.8)
            axes.margins(x=0.03, y=0.14)
        upper.set_ylabel("proxy reward\n(what training sees)")
        lower.set_ylabel("gold reward\n(what is wanted)")
        lower.annotate(
            "gold is highest here",
            (place(peak), 0.06),
            xycoords=lower.get_xaxis_transform(),
            xytext=(8, 0),
            textcoords="offset points",
        )
        lower.set_xlabel(
            "KL to the SFT model (nats per response; axis spaced by √KL)"
            if by_kl
            else "training step"
        )
        if by_kl:
            _label_in_nats(lower)
        label = label_of(results, flagged["arm"])
        return to_svg(
            figure,
            name="overoptimization",
            title=f"Over-optimization of {label}: proxy reward above, gold reward below; gold is "
            f"highest at {x_key.replace('kl', 'KL')} {float(peak[x_key]):.3g} and ends at "
            f"{float(golds[-1]['gold']):.3g}.",
        )


def _roads(results: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Points of each road by growing KL; arms without reward or KL have no place."""
    roads: dict[str, list[Mapping[str, Any]]] = {}
    judge = f"{judged_by(results)}_reward"
    for name, arm in in_road_order(results):
        road, reward, kl = arm.get("road"), arm.get(judge), arm.get("kl")
        if road not in _MARKERS or reward is None or (kl is None and road != "sft"):
            continue
        seeds = [
            (_root(one["kl"]), float(one[judge]))
            for one in arm.get("per_seed") or ()
            if one.get("kl") is not None and one.get(judge) is not None
        ]
        point = {**arm, "reward": reward, "label": label_of(results, name), "seeds": seeds}
        roads.setdefault(road, []).append(point)
    for road, points in roads.items():
        if road != "sft":
            points.sort(key=lambda point: float(point["kl"]["value"]))
    return roads


def _lower_road(roads: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | None:
    """The road whose chosen arm lies lower; its label goes below, clear of the other's curve."""
    heights = {
        road: float(point["reward"]["value"])
        for road in ("dpo", "rlhf")
        for point in roads.get(road, ())
        if point.get("chosen")
    }
    return min(heights, key=lambda road: heights[road]) if len(heights) == 2 else None


def _draw_road(
    axes: Axes,
    road: str,
    points: Sequence[Mapping[str, Any]],
    sft: Mapping[str, Any] | None,
    *,
    label_below: bool,
) -> None:
    xs = [_root(point["kl"]["value"]) for point in points]
    ys = [float(point["reward"]["value"]) for point in points]
    start = [] if sft is None else [(0.0, float(sft["reward"]["value"]))]
    line = [*start, *zip(xs, ys, strict=True)]
    is_yardstick = road == "yardstick"
    is_best_of_n = is_yardstick and all(point.get("kind") == "best_of_n" for point in points)
    dashes = ("--" if is_best_of_n else "none") if is_yardstick else "-"
    axes.plot(
        *([x for x, _ in line], [y for _, y in line]),
        color=INKS[road],
        linewidth=1.5 if is_yardstick else 2.2,
        linestyle=dashes,
    )
    axes.plot(
        *([], []),
        **{**_marks(road, filled=not is_yardstick), "linestyle": dashes},
        label="Best of n" if is_best_of_n else _ROAD_NAMES[road],
    )
    for point, x, y in zip(points, xs, ys, strict=True):
        for at in point["seeds"]:
            axes.plot(
                *([at[0]], [at[1]]),
                **{**_marks(road, filled=True), "markersize": 4.0, "alpha": 0.45},
            )
        ends = [x - _root(point["kl"]["low"]), _root(point["kl"]["high"]) - x]
        chosen = bool(point.get("chosen"))
        axes.errorbar(
            *([x], [y], _errors(point["reward"]), np.array(ends).clip(0)[:, None]),
            **_marks(road, filled=chosen),
            capsize=3.0,
            elinewidth=1.4,
        )
        if chosen:
            # The farthest arm has no curve of its own to its right.
            rightwards = label_below or x == max(xs)
            axes.annotate(
                f"{shortened(plain(point['label']), 24)}\n(chosen)",
                (x, y),
                xytext=(10 if rightwards else -12, -12 if label_below else 14),
                textcoords="offset points",
                ha="left" if rightwards else "right",
                va="top" if label_below else "bottom",
                color=INKS[road],
                fontweight="bold",
                # A curve may pass behind the words, not through them.
                bbox={"facecolor": INKS["card"], "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
            )


def _draw_match(
    axes: Axes,
    results: Mapping[str, Any],
    roads: Mapping[str, Sequence[Mapping[str, Any]]],
    sft: Mapping[str, Any] | None,
) -> None:
    """A line at the KL where the verdict compares the roads, and the gap between them there."""
    matched, verdict = results.get("matched"), results.get("verdict") or {}
    if matched is None or verdict.get("choice") == NO_VERDICT:
        return  # so near to the SFT model the gap says nothing
    kl = float(matched["kl"])
    heights = [
        reward_at_kl(
            kl=kl,
            point_kls=[max(0.0, float(point["kl"]["value"])) for point in roads[road]],
            point_rewards=[float(point["reward"]["value"]) for point in roads[road]],
            sft_reward=float(sft["reward"]["value"]),
        )
        for road in ("dpo", "rlhf")
        if sft is not None and roads.get(road)
    ]
    ends = [height for height in heights if height is not None]
    if len(ends) == 2:
        axes.plot([_root(kl)] * 2, ends, color=INKS["ink"], linewidth=4.5, alpha=0.55, zorder=1)
    style = {"arrowstyle": "-", "linestyle": (0, (2, 3)), "color": INKS["muted"]}
    axes.annotate(
        "",
        (_root(kl), max(ends)) if ends else (_root(kl), 1.0),
        xycoords="data" if ends else axes.get_xaxis_transform(),
        xytext=(_root(kl), 0.0),
        textcoords=axes.get_xaxis_transform(),
        arrowprops={**style, "linewidth": 1.2, "shrinkA": 0.0, "shrinkB": 0.0},
    )
    difference = measured(matched["difference"], signed=True)
    on_left = _root(kl) > 0.5 * axes.get_xlim()[1]
    axes.annotate(
        f"at matched KL, {kl:.3g} nats:\nRLHF minus DPO {difference.value}\n"
        f"[{difference.interval}]",
        (_root(kl), 0.02),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-8 if on_left else 8, 0),
        textcoords="offset points",
        ha="right" if on_left else "left",
        va="bottom",
        fontsize=12,
    )


def _label_in_nats(axes: Axes) -> None:
    """Ticks at round numbers of nats on an axis that is spaced by their roots."""
    end = max(axes.get_xlim()[1], 0.1)
    axes.set_xlim(-0.03 * end, end)
    steps = [m * 10.0**e for e in range(-4, 5) for m in (1, 1.5, 2, 3, 5)]
    ticks: list[float] = []
    for nats in reversed([step for step in steps if math.sqrt(step) <= end]):
        if not ticks or math.sqrt(ticks[-1]) - math.sqrt(nats) > 0.12 * end < math.sqrt(nats):
            ticks.append(nats)
    axes.set_xticks([0.0, *map(math.sqrt, ticks)], ["0", *(f"{nats:g}" for nats in ticks)])


def _frontier_words(judge: str, roads: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    arms = [
        f"{plain(point['label'])} {measured(point['reward']).value}"
        + (f" at KL {measured(point['kl']).value}" if road != "sft" else "")
        for road in ("sft", "dpo", "rlhf", "yardstick")
        for point in roads.get(road, ())
    ]
    listed = "; ".join(arms) or NOT_MEASURED
    return (
        f"{judge.capitalize()} reward against KL to the SFT model, in nats per response: {listed}."
    )


def _root(kl: float) -> float:
    return math.sqrt(max(0.0, float(kl)))


def _errors(estimate: Mapping[str, Any]) -> NDArray[np.float64]:
    """[2, 1], distances down and up, as matplotlib's error bars want them."""
    value, low, high = (float(estimate[key]) for key in ("value", "low", "high"))
    return np.array([[value - low], [high - value]]).clip(0)


def _marks(road: str, *, filled: bool) -> dict[str, Any]:
    return {
        "color": INKS[road],
        "marker": _MARKERS[road],
        "markersize": 9.0,
        "markerfacecolor": INKS[road] if filled else INKS["card"],
        "markeredgewidth": 1.8,
        "linestyle": "none",
    }
