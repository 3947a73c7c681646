"""One HTML file that a comparison can be judged by: verdict first, then everything behind it.

The file needs no network and no script; its content policy forbids both. Whatever came from a
model, a data file or a setting is escaped text, shown as written.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from palate.errors import DataError, UsageError
from palate.experiments import table
from palate.experiments.figures import frontier_figure, over_optimization_figure
from palate.experiments.pipeline import pipeline_figure

_SCHEMA = 1
_MAX_SAMPLES = 500
_MAX_SAMPLE_BYTES = 3_500_000  # of escaped text, so that the file stays below 5 MB
_NUM_OPEN_SAMPLES = 10


def write_report(results: Mapping[str, Any], path: Path) -> None:
    """Write the report of a comparison, replacing an older one in one step.

    Args:
        results: what results.json holds.
        path: the HTML file.

    Raises:
        DataError: the results have another schema, or no arms.
        UsageError: the file cannot be written.
    """
    html = render_report(results)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(html, encoding="utf-8")
        os.replace(partial, path)  # noqa: PTH105 - the atomic call, by its name
    except OSError as error:
        raise UsageError(
            f"{path}: the report cannot be written ({error.strerror}); choose another folder"
        ) from error


def render_report(results: Mapping[str, Any]) -> str:
    """The report as one self-contained HTML page."""
    _check(results)
    over_optimization = over_optimization_figure(results)
    return _template().render(
        results=results,
        missing=table.NOT_MEASURED,
        sentence=table.verdict_sentence(results),
        judge=table.judged_by(results),
        arms=table.in_road_order(results),
        label_of=lambda name: table.label_of(results, name),
        chosen=_chosen(results),
        frontier=Markup(frontier_figure(results)),
        pipeline=Markup(pipeline_figure(results)),
        over_optimization=over_optimization and Markup(over_optimization),
        reading=_reading,
        total=table.total,
        quality=list(_reward_model_rows(results)),
        samples=_samples(results),
        num_open=_NUM_OPEN_SAMPLES,
        num_samples=len(results.get("samples") or ()),
        tally=_tally(results),
        covers=_covers(results),
        num_seeds=_num_seeds(results),
        flat=lambda values: list(_flat(values)),
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for words in (
        *(table.plain, table.measured, table.number, table.percentage, table.p_value),
        *(table.seconds, table.flops, table.size, table.count),
    ):
        environment.filters[words.__name__] = words
    source = files("palate.experiments") / "report.html.jinja"
    return environment.from_string(source.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class ShownResponse:
    """A response beside its rivals; `is_best`: no other one of the prompt has more reward."""

    name: str
    text: str | None
    num_cut: int
    gold: object
    proxy: object
    stopped: bool
    is_best: bool
    is_tied: bool


@dataclass(frozen=True)
class ShownSample:
    """A prompt with the responses of the SFT model and of each road's chosen arm."""

    prompt: str
    num_cut: int
    responses: Sequence[ShownResponse]


@dataclass(frozen=True)
class RewardModelRow:
    """One accuracy of the reward model's card."""

    name: str
    measured: table.Measured
    percent: float | None
    meaning: str


def _check(results: Mapping[str, Any]) -> None:
    if results.get("schema") != _SCHEMA:
        raise DataError(
            f"results: schema is {results.get('schema')!r}, and this report reads schema "
            f"{_SCHEMA}; write them again with this version of palate compare"
        )
    if not results.get("arms"):
        raise DataError(
            "results: 'arms' is missing or empty, so there is nothing to report; was the "
            "comparison interrupted? Resume it, then report again"
        )


def _chosen(results: Mapping[str, Any]) -> dict[str, str]:
    """Road → name of the arm that stands for it: the SFT model, and each road's chosen arm."""
    chosen: dict[str, str] = {}
    for name, arm in table.in_road_order(results):
        road = str(arm.get("road"))
        if road == "sft" or (arm.get("chosen") and road in ("dpo", "rlhf")):
            chosen.setdefault(road, name)
    return chosen


def _reading(results: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """What a head-to-head row says in words."""
    rate = row.get("win_rate")
    if rate is None:
        return table.NOT_MEASURED
    if rate["low"] > 0.5:
        return f"{table.label_of(results, row['a'])} is better"
    if rate["high"] < 0.5:
        return f"{table.label_of(results, row['b'])} is better"
    return "not distinguishable"


def _reward_model_rows(results: Mapping[str, Any]) -> Iterator[RewardModelRow]:
    card = results.get("reward_model")
    if card is None:
        return
    meanings = (
        ("accuracy", "Reward model", "share of held-out pairs that it orders as the labels do"),
        ("ceiling", "Ceiling", "what label noise leaves to a perfect model"),
        ("bag_of_words", "Bag of words", "word counts, blind to order: must be beaten"),
        ("longest_wins", "The longer one wins", "length alone: must be beaten"),
    )
    for key, name, meaning in meanings:
        value = card.get(key)
        if isinstance(value, Mapping):
            cell, share = table.measured(value, percent=True), value.get("value")
        else:
            cell, share = table.Measured(table.percentage(value)), value
        percent = None if share is None else min(100.0, max(0.0, 100 * float(share)))
        yield RewardModelRow(name, cell, percent, meaning)


def _samples(results: Mapping[str, Any]) -> list[ShownSample]:
    rows = (results.get("samples") or ())[:_MAX_SAMPLES]
    names = list(_chosen(results).values())
    limit = _text_limit(rows, names)
    judge = table.judged_by(results)
    return [_shown(row, names, limit, judge=judge) for row in rows]


def _shown(row: Mapping[str, Any], names: Sequence[str], limit: int, *, judge: str) -> ShownSample:
    responses = row.get("responses") or {}
    rewards = [responses[name].get(judge) for name in names if name in responses]
    known = [reward for reward in rewards if reward is not None]
    best = max(known, default=None)
    shown = []
    for name in names:
        response = responses.get(name)
        if response is None:
            shown.append(ShownResponse(name, None, 0, None, None, True, False, False))
            continue
        text = table.plain(response.get("text", ""), keep_lines=True)
        # Where all are equal there is no best one to point at.
        is_best = best is not None and response.get(judge) == best and min(known) < best
        shown.append(
            ShownResponse(
                name=name,
                text=text[:limit],
                num_cut=max(0, len(text) - limit),
                gold=response.get("gold"),
                proxy=response.get("proxy"),
                stopped=bool(response.get("stopped", True)),
                is_best=is_best,
                is_tied=is_best and known.count(best) > 1,
            )
        )
    prompt = table.plain(row.get("prompt", ""), keep_lines=True)
    return ShownSample(prompt[:limit], max(0, len(prompt) - limit), shown)


def _text_limit(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> int:
    """Characters per text, halved until all samples together fit the report."""
    texts = []
    for row in rows:
        responses = row.get("responses") or {}
        texts.append(table.plain(row.get("prompt", ""), keep_lines=True))
        texts += [
            table.plain(responses[name].get("text", ""), keep_lines=True)
            for name in names
            if name in responses
        ]
    limit = max((len(text) for text in texts), default=0)
    while sum(len(escape(text[:limit]).encode()) for text in texts) > _MAX_SAMPLE_BYTES:
        limit //= 2
    return limit


@dataclass(frozen=True)
class Tally:
    """How often each road's sample has more reward than the other's on one prompt."""

    dpo: int
    rlhf: int
    equal: int


def _tally(results: Mapping[str, Any]) -> Tally | None:
    chosen, judge = _chosen(results), table.judged_by(results)
    wins = {"dpo": 0, "rlhf": 0, "equal": 0}
    for row in results.get("samples") or ():
        responses = row.get("responses") or {}
        dpo, rlhf = (responses.get(chosen.get(road), {}).get(judge) for road in ("dpo", "rlhf"))
        if dpo is None or rlhf is None:
            continue
        wins["equal" if dpo == rlhf else "dpo" if dpo > rlhf else "rlhf"] += 1
    return Tally(**wins) if any(wins.values()) else None


def _num_seeds(results: Mapping[str, Any]) -> int:
    """Training seeds of each arm; arms may call theirs differently."""
    return int(results.get("num_seeds") or len(results.get("seeds") or ()))


def _covers(results: Mapping[str, Any]) -> str:
    """What the intervals speak of; they cover seeds only where there are enough (across_seeds)."""
    num_seeds = _num_seeds(results)
    if num_seeds >= 3:
        return (
            f"both the choice of prompts and the {num_seeds} training seeds: it speaks of the "
            "method, not only of these trained models"
        )
    return (
        "the choice of prompts alone: with fewer than three training seeds it speaks of these "
        "trained models, not of what another seed would give"
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif value is None:
            yield name, table.NOT_MEASURED
        else:
            words = value if isinstance(value, str) else json.dumps(value, default=str)
            yield name, table.plain(words)
