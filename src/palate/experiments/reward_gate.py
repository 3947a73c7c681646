"""The gate of a reward model: what it is measured on, and what PPO does with the outcome.

The report is stored beside the reward model with hashes of weights and pairs, so that it is made
once and never believed of other weights.
"""

import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import AutoTokenizer

from palate.data.records import Preference, prompt_key
from palate.data.render import Overlong, Renderer
from palate.data.trees import Tree
from palate.errors import GateError, ModelError
from palate.experiments.hashes import folder_hash
from palate.experiments.pair_scores import Scorer, role_scorer, score_pairs, score_trees
from palate.experiments.passport import read_passport
from palate.experiments.probes import PROBES, probe_trees
from palate.experiments.world import base_model_path
from palate.measures.gate import (
    GateLimits,
    GateReport,
    PairRewards,
    ProbedRewards,
    SampleScores,
    judge_reward,
)
from palate.models.roles import Roles
from palate.models.sampling import sample

log = logging.getLogger("palate")

GATE_FILE = "gate.json"
NUM_SAMPLE_PROMPTS = 128
GateMode = Literal["require", "warn", "off"]
# Prompts' tokens → a sampled response to each.
Answer = Callable[[Sequence[tuple[int, ...]]], list[Tree]]


@dataclass(frozen=True)
class GateRule:
    """What PPO does about the gate of its reward model.

    Attributes:
        mode: require refuses a reward model that is not fit or cannot be checked, warn says so and
            goes on, off does not look.
        pairs: gives held-out pairs for a reward model that was never checked; None: there are none.
        limits: what to hold it to.
    """

    mode: GateMode = "require"
    pairs: Callable[[], Sequence[Preference]] | None = None
    limits: GateLimits | None = None


@dataclass(frozen=True)
class StoredGate:
    """The outcome that stands beside a reward model."""

    passed: bool
    verdict: str


def check_reward(
    scorer: Scorer,
    pairs: Sequence[Preference],
    *,
    answer: Answer | None = None,
    max_length: int = 1024,
    overlong: Overlong = "refuse",
    limits: GateLimits | None = None,
) -> GateReport:
    """Measure a reward on held-out pairs, under every probe, and on samples.

    Args:
        scorer: the reward.
        pairs: held out from its training.
        answer: samples from the model that PPO starts from; None: there is none.
        max_length: tokens of prompt + response.
        overlong: longer pairs are refused or dropped; probes that get longer are left out.
        limits: what to hold the reward to.

    Raises:
        DataError: a pair cannot be scored, or there are pairs of fewer than five prompts.
    """
    found = score_pairs(scorer, pairs, max_length=max_length, overlong=overlong)
    renderer = scorer.renderer
    groups = [prompt_key(pair.prompt) for pair in found.pairs]
    rendered = [renderer.preference(pair) for pair in found.pairs]
    measured = PairRewards(
        chosen=found.chosen,
        rejected=found.rejected,
        texts=[(pair.chosen, pair.rejected) for pair in found.pairs],
        lengths=[(len(pair.chosen), len(pair.rejected)) for pair in rendered],
        groups=groups,
        nats=scorer.scale.spread,
    )
    before, owners = np.concatenate([found.chosen, found.rejected]), [*groups, *groups]
    probes = []
    for name in PROBES:
        trees = probe_trees(name, found.pairs, renderer, max_length=max_length)
        usable = [i for i, tree in enumerate(trees) if tree is not None]
        changed = [tree for tree in trees if tree is not None]
        after = score_trees(scorer, changed).mean(axis=1) if changed else np.empty(0)
        probes.append(ProbedRewards(name, before[usable], after, [owners[i] for i in usable]))
    samples = None
    if answer is not None:
        prompts = list(dict.fromkeys(pair.prompt for pair in rendered))
        samples = _sample_scores(scorer, answer(prompts[:NUM_SAMPLE_PROMPTS]))
    return judge_reward(measured, probes, samples, limits=limits)


def answers_of(
    roles: Roles, name: str, *, end_tokens: Collection[int], max_new_tokens: int
) -> Answer:
    """Samples of a role as `check_reward` takes them, the same ones on every call."""

    def answer(prompts: Sequence[tuple[int, ...]]) -> list[Tree]:
        drawn = sample(
            roles, name, prompts, max_new_tokens=max_new_tokens, end_tokens=end_tokens, seed=0
        )
        return [Tree(p, (some[0].response(),)) for p, some in zip(prompts, drawn, strict=True)]

    return answer


def store_gate(report: GateReport, folder: Path, pairs: Sequence[Preference]) -> None:
    """Put the report beside the reward model; a folder that cannot be written is told of."""
    content = {
        "schema": 1,
        "weights": folder_hash(folder),
        "data": pairs_hash(pairs),
        **report.to_json(),
    }
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / GATE_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        log.warning("%s: the gate's report cannot be stored (%s)", folder, error.strerror)


def read_gate(folder: Path) -> StoredGate | None:
    """The outcome that stands beside a reward model; None where there is none of these weights.

    Raises:
        ModelError: there is a report, and it is damaged.
    """
    path = folder / GATE_FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        stored = StoredGate(bool(found["passed"]), str(found["verdict"]))
        weights = found["weights"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: damaged ({type(error).__name__}: {error}); remove it and run palate "
            "check-reward again"
        ) from None
    return stored if weights == folder_hash(folder) else None


def pass_gate(
    rule: GateRule, folder: Path, roles: Roles, *, max_length: int, max_new_tokens: int
) -> None:
    """Let a reward model through to PPO, or refuse it.

    One that was never checked is checked here, where held-out pairs are known; where none are it is
    not let through in silence.

    Args:
        rule: what to do.
        folder: of the reward model.
        roles: with the reward model as `reward`, and PPO's start as `reference` where it stands on
            the same base.
        max_length: tokens of prompt + response; longer pairs are left out.
        max_new_tokens: of samples.

    Raises:
        GateError: it is not fit to be optimized against, or nobody knows, and the rule requires
            that it is.
    """
    if rule.mode == "off":
        return
    stored = read_gate(folder)
    if stored is None and rule.pairs is not None:
        pairs = rule.pairs()
        scorer = role_scorer(roles)
        answer = None
        if "reference" in roles:
            ends = scorer.renderer.end_token_ids
            answer = answers_of(roles, "reference", end_tokens=ends, max_new_tokens=max_new_tokens)
        report = check_reward(
            scorer,
            pairs,
            answer=answer,
            max_length=max_length,
            overlong="drop",
            limits=rule.limits,
        )
        store_gate(report, folder, pairs)
        stored = StoredGate(not report.failed, report.verdict)
    if stored is None:
        unknown = (
            f"{folder}: the reward model was never checked, and no held-out pairs are known to do "
            f"it on. Check it with palate check-reward --reward {folder} --data PAIRS (held-out "
            "ones), or name such pairs (--gate-data)"
        )
        if rule.mode == "require":
            raise GateError(f"{unknown}, or go on unchecked with --reward-gate off")
        log.warning("%s", unknown)
    elif stored.passed or rule.mode == "warn":
        log.info("reward gate: %s is %s", folder, stored.verdict)
    else:
        raise GateError(
            f"{folder}: the reward model is {stored.verdict}. Train it on other pairs or longer "
            f"(palate check-reward --reward {folder} shows all), or go on all the same with "
            "--reward-gate warn"
        )


def start_of_reward(folder: Path) -> str | None:
    """The model that a reward model started from; None where it is not known or not there."""
    passport = read_passport(folder)
    start = passport.start if passport else None
    return start.name if start is not None and Path(start.name).is_dir() else None


def is_of_world(renderer: Renderer) -> bool:
    """Whether a tokenizer is that of the embedded world."""
    world = AutoTokenizer.from_pretrained(str(base_model_path()), local_files_only=True)
    return bool(world.get_vocab() == renderer.tokenizer.get_vocab())


def pairs_hash(pairs: Sequence[Preference]) -> str:
    """A hash of pairs in their order, by prompt and texts."""
    digest = sha256()
    for pair in pairs:
        digest.update(repr((prompt_key(pair.prompt), pair.chosen, pair.rejected)).encode())
    return digest.hexdigest()


def _sample_scores(scorer: Scorer, trees: Sequence[Tree]) -> SampleScores:
    rewards = score_trees(scorer, trees).mean(axis=1)
    stopped = [tree.responses[0].stopped for tree in trees]
    return SampleScores(
        mean=float(rewards.mean()),
        spread=float(rewards.std()),
        share_without_eos=1 - sum(stopped) / len(stopped),
        num_samples=len(stopped),
    )
