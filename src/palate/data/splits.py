"""Parting records by their prompt, by a hash: no prompt on both sides, and no generator needed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from palate.data.records import Demonstration, Preference, Prompt, prompt_key
from palate.data.same import leak_key, normal_key
from palate.errors import DataError

Record = TypeVar("Record", bound=Preference | Demonstration | Prompt)


@dataclass(frozen=True, slots=True)
class Split(Generic[Record]):
    """Records to train on, and records of other prompts to evaluate on; each in its old order."""

    train: list[Record]
    eval: list[Record]


@dataclass(frozen=True, slots=True)
class Halves(Generic[Record]):
    """Records to choose on (a checkpoint, a setting), and others to judge the choice on."""

    choose: list[Record]
    judge: list[Record]


def split_by_prompt(
    records: Sequence[Record], *, eval_fraction: float, salt: str = ""
) -> Split[Record]:
    """Send each prompt to one side by its own hash.

    A record's side depends on its prompt, `eval_fraction` and `salt` alone: reordering or adding
    records moves none, and a larger fraction only adds to the evaluation side. The share that
    arrives is therefore near `eval_fraction`, not equal to it. Prompts that differ in blanks,
    Unicode form or case alone go to one side, so only such a variant can move a prompt.

    Args:
        records: what to part.
        eval_fraction: expected share of the prompts to evaluate on, in [0, 1).
        salt: another salt gives another split.

    Raises:
        DataError: the fraction is out of range, or one side stays empty.
    """
    if not 0 <= eval_fraction < 1:
        raise DataError(f"eval_fraction is {eval_fraction}; it must be at least 0 and below 1")
    split: Split[Record] = Split([], [])
    for record, key in zip(records, _keys_of(records), strict=True):
        held_out = _position(key, salt) < eval_fraction
        (split.eval if held_out else split.train).append(record)
    if eval_fraction > 0 and not (split.train and split.eval):
        side = "training" if not split.train else "evaluation"
        raise DataError(
            f"no prompt of {len(records)} records fell to {side} at eval_fraction={eval_fraction}; "
            f"give a separate evaluation file, or another fraction"
        )
    return split


def halves(records: Sequence[Record], *, salt: str = "") -> Halves[Record]:
    """Part the distinct prompts into two halves, equal up to one prompt.

    The prompts are ranked by their hash and dealt out in turn: independent of the order of the
    records, but (unlike `split_by_prompt`) not stable when prompts are added.

    Raises:
        DataError: there are fewer than two distinct prompts.
    """
    keys = _keys_of(records)
    ranked = sorted(set(keys), key=lambda key: _position(key, f"halves {salt}"))
    if len(ranked) < 2:
        raise DataError(f"halves need two distinct prompts; there are {len(ranked)}")
    to_choose_on = set(ranked[::2])
    parted: Halves[Record] = Halves([], [])
    for record, key in zip(records, keys, strict=True):
        (parted.choose if key in to_choose_on else parted.judge).append(record)
    return parted


def _keys_of(records: Sequence[Record]) -> list[str]:
    """Each record's prompt by one key, which all variants of the prompt share.

    A prompt that stands in one form alone keeps its own key; several forms take the least key of
    their normal forms, so that one in normal form keeps its own too.
    """
    exact = [prompt_key(record.prompt) for record in records]
    loose = [leak_key(record.prompt) for record in records]
    forms: dict[str, dict[str, str]] = {}
    for record, key, group in zip(records, exact, loose, strict=True):
        of_group = forms.setdefault(group, {})
        if key not in of_group:
            of_group[key] = normal_key(record.prompt)
    return [
        key if len(forms[group]) == 1 else min(forms[group].values())
        for key, group in zip(exact, loose, strict=True)
    ]


def _position(key: str, salt: str) -> float:
    """Where a prompt stands in [0, 1), uniformly over prompts."""
    digest = hashlib.sha256(f"{salt}\n{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
