"""The SFT model against the data: is it ready for these pairs, or is SFT on them first?

The numbers and their reading are pure (measures/on_policy.py); here they are measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from palate.data.checks.reading import Record, Source, open_source
from palate.data.checks.rendering import render_row
from palate.data.checks.seen import fingerprint_of
from palate.data.layout import AS_THEY_SAY, Layout
from palate.data.records import Demonstration, Preference
from palate.data.render import Renderer
from palate.data.trees import Response, Tree, pack, plant
from palate.experiments.answers import as_policy
from palate.measures.on_policy import MIN_PROMPTS, Fit, judge_fit
from palate.models.context import context_length
from palate.models.load import Loaded
from palate.models.roles import Roles
from palate.models.sampling import sample
from palate.models.scoring import response_logprobs
from palate.training.progress import progress

NUM_ROWS = 200
MAX_NEW_TOKENS = 128
_MAX_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Shown:
    """Rows as trees: the response to learn from first, then the rejected one where there is one."""

    trees: list[Tree]
    has_rejected: bool


def measure_fit(
    loaded: Loaded,
    path: str | Path,
    *,
    layout: Layout = AS_THEY_SAY,
    max_length: int,
    num_rows: int = NUM_ROWS,
    seed: int = 0,
) -> Fit | None:
    """Compare the responses of a file with what a model says to the same prompts.

    Rows are those of the prompts with the smallest fingerprints, the same on every call; labelled
    responses count where they are desirable. One sample a prompt, at temperature 1, of as many
    tokens as the longest response, 128 at most.

    Args:
        loaded: the model.
        path: pairs, labelled responses or demonstrations.
        max_length: longer rows are left out.
        layout: what a person says of the rows.
        num_rows: rows to look at.
        seed: of the samples.

    Returns:
        None where fewer than 20 prompts have a response and leave the model room for its own.
    """
    renderer = Renderer(loaded.tokenizer)
    shown = choose_rows(
        open_source(path, layout), renderer, max_length=max_length, num_rows=num_rows
    )
    longest = max((len(tree.responses[0].tokens) for tree in shown.trees), default=0)
    room, limit = min(longest, MAX_NEW_TOKENS), context_length(loaded.model.config)
    trees = [one for one in shown.trees if limit is None or len(one.prompt) + room <= limit]
    prompts = list(dict.fromkeys(tree.prompt for tree in trees))
    if len(prompts) < MIN_PROMPTS:
        return None
    roles = as_policy(loaded)
    with progress("sample", len(prompts)) as advance:
        drawn = sample(
            roles, "policy", prompts, max_new_tokens=room, seed=seed,
            end_tokens=renderer.end_token_ids, advance=lambda count: advance(count, ""),
        )  # fmt: skip
    own = [Tree(p, (some[0].response(),)) for p, some in zip(prompts, drawn, strict=True)]
    given = _logprobs_per_token(roles, trees)
    step = 2 if shown.has_rejected else 1
    names = {prompt: number for number, prompt in enumerate(prompts)}
    return judge_fit(
        chosen=given[::step],
        rejected=given[1::2] if shown.has_rejected else None,
        samples=_logprobs_per_token(roles, own),
        prompts=[names[tree.prompt] for tree in trees],
        sample_prompts=range(len(prompts)),
    )


def choose_rows(source: Source, renderer: Renderer, *, max_length: int, num_rows: int) -> Shown:
    """Rows of the prompts with the smallest fingerprints, as far as they can be rendered and fit.

    Looks at four times as many as are wanted, so that a few that do not fit are made up for.
    """
    met = (record for row in source.rows for record in row.records)
    ranked = ((fingerprint_of(r).prompt, i, r) for i, r in enumerate(filter(_is_shown, met)))
    first = nsmallest(4 * num_rows, ranked, key=lambda entry: entry[:2])
    usable = [
        record
        for _, _, record in first
        if not render_row(record, renderer, max_length=max_length).faults
    ]
    has_rejected = bool(usable) and isinstance(usable[0], Preference)
    return Shown([_tree(record, renderer) for record in usable[:num_rows]], has_rejected)


def _is_shown(record: Record) -> bool:
    """Whether there is something in it to learn from."""
    if isinstance(record, Demonstration):
        return record.desirable is not False
    return isinstance(record, Preference)


def _tree(record: Record, renderer: Renderer) -> Tree:
    if isinstance(record, Preference):
        pair = renderer.preference(record)
        return Tree(pair.prompt, (Response(pair.chosen), Response(pair.rejected)))
    assert isinstance(record, Demonstration)
    shown = renderer.demonstration(record)
    return Tree(shown.prompt, (Response(shown.response),))


@torch.no_grad()
def _logprobs_per_token(roles: Roles, trees: Sequence[Tree]) -> NDArray[np.float64]:
    """Mean log-probability per token of all responses of trees, in nats, [response]."""
    found = []
    with progress("score", len(trees)) as advance:
        for indices in pack(trees, max_tokens=_MAX_TOKENS):
            some = [trees[i] for i in indices]
            sums = response_logprobs(roles, "policy", plant(some, device=roles.device))
            counts = [len(response.tokens) for tree in some for response in tree.responses]
            found.append(sums.double().cpu().numpy() / np.array(counts))
            advance(len(indices), "")
    return np.concatenate(found)
