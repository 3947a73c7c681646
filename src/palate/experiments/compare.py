"""`palate compare`: trained models from one start, measured on common prompts → results.json."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from palate.data.records import Prompt
from palate.data.splits import halves
from palate.errors import UsageError
from palate.experiments.arms import Arm, Decoding, Judge, Measured, arm_roles, judged, measure
from palate.experiments.comparison import Comparison, count_runs
from palate.experiments.entries import Entry
from palate.experiments.kept import KeptMeasures
from palate.experiments.lineup import line_up
from palate.experiments.pilot import pilot
from palate.experiments.results import results_of
from palate.training.progress import progress

log = logging.getLogger("palate")

# Folder of the measured arms, below that of the results.
MEASURED = "measured"


def measure_arms(
    arms: Sequence[Arm],
    base: Path,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    gold: Judge | None,
    keep: Path,
) -> dict[str, dict[int, Measured]]:
    """Measure every arm and seed, with a progress bar.

    What was measured is kept in the folder `keep`, and what is there is not measured again.
    """
    kept = KeptMeasures(keep, base=base, prompts=prompts, decoding=decoding)
    total = sum(len(arm.models) for arm in arms) * len(prompts)
    measured: dict[str, dict[int, Measured]] = {}
    with progress("compare", total) as advance:
        for arm in arms:
            measured[arm.name] = {}
            for seed, model in arm.models.items():
                reward, tell = arm.rewards.get(seed), partial(advance, words=arm.name)
                found = kept.find(model, reward)
                if found is None:
                    roles = arm_roles(base, model, reward)
                    found = measure(roles, prompts, decoding, advance=tell)
                    kept.keep(model, reward, found)
                else:
                    tell(len(prompts))
                measured[arm.name][seed] = judged(found, prompts, gold)
            if arm.road == "sft":
                _say_what_can_be_seen(measured[arm.name].values(), prompts)
    return measured


def _say_what_can_be_seen(sft: Iterable[Measured], prompts: Sequence[Prompt]) -> None:
    words = pilot(next(iter(sft)), num_judging=len(halves(list(prompts)).judge))
    if words:
        log.info("compare: %s", words)


def run_compare(
    *,
    entries: Sequence[Entry],
    base: Path,
    prompts: Sequence[Prompt],
    reward: Path | None,
    gold: Judge | None,
    output_dir: Path,
    num_samples: int = 2,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    seed: int = 17,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Compare trained models with the model that they started from.

    Args:
        entries: trained models; several of one name are training seeds of one arm.
        base: the common start.
        prompts: held-out prompts, at least four.
        reward: a reward model's folder, for the proxy reward.
        gold: a function of texts that says what is wanted.
        output_dir: gets results.json and report.html.
        num_samples: responses a prompt.
        max_new_tokens: tokens of a response at most.
        temperature: of sampling.
        seed: of sampling, the same for every arm.
        overwrite: replace results that are there; arms that were measured are used again where
            nothing about them has changed.

    Raises:
        UsageError: nothing to judge by, too few prompts, results are there already, or the arms
            cannot be compared.
        ModelError: a folder is unsafe, incomplete or damaged.
    """
    if reward is None and gold is None:
        raise UsageError(
            "nothing to judge by: your own prompts have no gold reward, so give a reward model's "
            "folder as --reward"
        )
    if len(prompts) < 4:
        raise UsageError(f"{len(prompts)} prompts cannot be compared on; give at least 4")
    target = output_dir / "results.json"
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists; choose another --output-dir, or --overwrite")
    lineup = line_up(entries, base=base, reward=reward)
    for note in lineup.notes:
        log.info("note: %s", note)
    decoding = Decoding(num_samples, max_new_tokens, temperature, seed)
    # Before the sampling, which may take hours.
    count_runs(lineup.arms, {arm.name: len(arm.models) for arm in lineup.arms})
    measured = measure_arms(
        lineup.arms, base, prompts, decoding, gold=gold, keep=output_dir / MEASURED
    )
    results = results_of(Comparison(lineup.arms, prompts, measured), title="Comparison")
    results["notes"] = lineup.notes
    write_results(results, output_dir)
    return results


def write_results(results: Mapping[str, Any], folder: Path) -> None:
    """Write results.json and report.html."""
    from palate.experiments.report import write_report

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(text, encoding="utf-8")
    write_report(results, folder / "report.html")
