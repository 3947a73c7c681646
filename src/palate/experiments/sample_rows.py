"""Rows of samples, a prompt each, written as they come: a stopped run goes on where it stopped.

    {"prompt": …, "responses": [{"text", "stopped", "temperature", "logprob"}, …],
     "model": …, "sampling": {"num_samples", "max_new_tokens", "temperatures", "seed"}, …}

Further columns of the prompt's row are kept, so that reward functions and judges see them.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from palate.data.records import Prompt
from palate.data.rows import to_row
from palate.errors import UsageError
from palate.experiments.answers import Answer, Asked, Draws, Sampler

# Prompts between two writes; a run that is stopped loses no more than these.
BATCH = 32


def sample_rows(
    sampler: Sampler,
    asked: Sequence[Asked],
    draws: Draws,
    *,
    model: str,
    dedupe: bool = False,
) -> Iterator[list[dict[str, Any]]]:
    """Rows of prompts in their order, a batch at a time.

    Args:
        sampler: what answers.
        asked: the prompts that are still to be answered.
        draws: what is drawn.
        model: its name, for the rows.
        dedupe: keep one of responses with one text, with its `count`.
    """
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        yield [
            _row(one.prompt, answers, draws, model=model, dedupe=dedupe)
            for one, answers in zip(some, sampler(some, draws), strict=True)
        ]


def done_rows(path: Path, asked: Sequence[Asked], draws: Draws, *, model: str) -> int:
    """How many prompts a file of an earlier run has answered; what a stop tore is cut off.

    Raises:
        UsageError: the file is of other prompts, another model or other draws, or no such file.
    """
    *lines, torn = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
            found = (row["prompt"], row["model"], row["sampling"])
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{place}: no row of palate sample; name another --output, or --overwrite"
            ) from None
        if number > len(asked):
            raise UsageError(f"{place}: there are only {len(asked)} prompts; name another --output")
        wanted = (to_row(asked[number - 1].prompt)["prompt"], model, _sampling(draws))
        for what, given, mine in zip(("prompt", "model", "sampling"), found, wanted, strict=True):
            if given != mine:
                raise UsageError(
                    f"{place}: the {what} is not this run's ({_short(given)} there, {_short(mine)} "
                    "here); resume with the same arguments, or name another --output"
                )
    if torn:
        os.truncate(path, path.stat().st_size - len(torn))
    return len(lines)


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to the end of a file; they are on disk when this returns.

    Raises:
        UsageError: they cannot be written.
    """
    text = "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows)
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UsageError(
            f"--output {path}: rows cannot be written ({error.strerror}); what is there stays: go "
            "on with --resume"
        ) from None


def _row(
    prompt: Prompt, answers: Sequence[Answer], draws: Draws, *, model: str, dedupe: bool
) -> dict[str, Any]:
    responses = [
        {name: value for name, value in asdict(answer).items() if value is not None}
        for answer in answers
    ]
    if dedupe:
        distinct: dict[str, dict[str, Any]] = {}
        for response in responses:
            kept = distinct.setdefault(response["text"], {**response, "count": 0})
            kept["count"] += 1
        responses = list(distinct.values())
    sampling = _sampling(draws)
    return {**to_row(prompt), "responses": responses, "model": model, "sampling": sampling}


def _sampling(draws: Draws) -> dict[str, Any]:
    return {**asdict(draws), "temperatures": list(draws.temperatures)}


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 80 else f"{text[:80]}…"
