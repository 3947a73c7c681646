r"""Pairs as TRL and Anthropic write them.

    explicit    {prompt, chosen, rejected}: text, or turns
    implicit    {chosen, rejected} that share their beginning: text, or turns
    hh-rlhf     {chosen, rejected}: dialogues, "\n\nHuman: …\n\nAssistant: …"

All may have `weight` and `margin`; in rows with `score_chosen` and `score_rejected` the difference
is the margin where margins are asked for.
"""

import re
from collections.abc import Callable, Mapping
from os.path import commonprefix
from typing import NamedTuple

from palate.data.faults import Refusal
from palate.data.formats.cells import (
    Row,
    check_pair,
    check_repeated_prompt,
    dialogue_of,
    kind,
    number,
    text,
    turns_of,
    weight,
)
from palate.data.formats.format import Format, Record
from palate.data.formats.write import counts, to_row, turns_out, whole
from palate.data.hh import format_dialogue, is_dialogue
from palate.data.layout import Layout
from palate.data.records import Preference, Text, Turn
from palate.data.turns import check_prompt, parse_reply, parse_turns, split_reply
from palate.errors import UsageError

# A shared beginning that ends like this ends where a speaker's turn begins: "Answer:", "<bot>".
_TURN_BORDER = re.compile(r"(?:(?:\A|\n)\w[\w ]{0,30}(?<!\d):|[>\]])\Z")


class SharedBeginning(NamedTuple):
    """Two texts, parted where they begin to differ."""

    prompt: str
    chosen: str
    rejected: str


def split_shared_beginning(*, chosen: str, rejected: str) -> SharedBeginning:
    r"""Take the beginning that two texts share as their prompt.

    The longest common beginning may end inside a word ("The ca|t", "The ca|r"), so it is cut back
    to a border: its own end where that is a turn's ("Answer:", "[/INST]", "<bot>"), else before
    its last run of white space. The blanks thus belong to the responses, as tokenizers prefer it
    (" cat", " car"). Without any border the prompt is empty.
    """
    shared = commonprefix([chosen, rejected])
    if not _TURN_BORDER.search(shared):
        blanks = list(re.finditer(r"\s+", shared))
        shared = shared[: blanks[-1].start()] if blanks else ""
    return SharedBeginning(shared, chosen[len(shared) :], rejected[len(shared) :])


def is_pair(row: Row) -> bool:
    """Whether a row has both responses of a pair."""
    return "chosen" in row and "rejected" in row


def margin(row: Row, layout: Layout) -> float | None:
    """The row's own margin, or the difference of its scores where that is asked for."""
    told = number(row, "margin")
    if told is not None or not layout.margins:
        return told
    better, worse = number(row, "score_chosen"), number(row, "score_rejected")
    return None if better is None or worse is None else better - worse


def scores_as_margin(row: Row) -> frozenset[str]:
    """What a pair heeds of a layout: margins, where it has two scores and no margin of its own."""
    scored = row.get("score_chosen") is not None and row.get("score_rejected") is not None
    return frozenset({"margins"} if scored and row.get("margin") is None else ())


def _is_explicit(row: Row) -> bool:
    # Beside whole conversations, a prompt that is text repeats one of their turns.
    repeats = isinstance(row.get("prompt"), str) and isinstance(row.get("chosen"), list | tuple)
    return is_pair(row) and "prompt" in row and not repeats


def _is_hh(row: Row) -> bool:
    both = (row.get("chosen"), row.get("rejected"))
    return "prompt" not in row and all(isinstance(v, str) and is_dialogue(v) for v in both)


def _read_explicit(row: Row, layout: Layout, origin: str) -> list[Record]:
    _check_kinds(row)
    if kind(row, "prompt") == "text":
        prompt: Text = text(row, "prompt")
        chosen, rejected = text(row, "chosen"), text(row, "rejected")
    else:
        prompt = parse_turns(row["prompt"], name="prompt")
        check_prompt(prompt, name="prompt")
        chosen = parse_reply(row["chosen"], name="chosen", prompt=prompt)
        rejected = parse_reply(row["rejected"], name="rejected", prompt=prompt)
    return _pair(row, layout, origin, prompt=prompt, chosen=chosen, rejected=rejected)


def _read_implicit(row: Row, layout: Layout, origin: str) -> list[Record]:
    _check_kinds(row)
    if kind(row, "chosen") == "turns":
        return _read_whole(row, layout, origin, turns_of)
    wholes = {name: text(row, name) for name in ("chosen", "rejected")}
    check_pair(**wholes)
    parted = split_shared_beginning(**wholes)
    return _pair(row, layout, origin, **parted._asdict())


def _read_hh(row: Row, layout: Layout, origin: str) -> list[Record]:
    return _read_whole(row, layout, origin, dialogue_of)


def _read_whole(
    row: Row, layout: Layout, origin: str, turns: Callable[[object, str], tuple[Turn, ...]]
) -> list[Record]:
    """Two whole conversations that differ in their last turn."""
    prompt, chosen = split_reply(turns(row.get("chosen"), "chosen"), name="chosen")
    other, rejected = split_reply(turns(row.get("rejected"), "rejected"), name="rejected")
    if prompt != other:
        raise Refusal("E308", "chosen and rejected differ before their last turn")
    check_repeated_prompt(row, prompt)
    return _pair(row, layout, origin, prompt=prompt, chosen=chosen, rejected=rejected)


def _pair(
    row: Row, layout: Layout, origin: str, *, prompt: Text, chosen: str, rejected: str
) -> list[Record]:
    check_pair(chosen=chosen, rejected=rejected)
    return [Preference(prompt, chosen, rejected, weight(row), margin(row, layout), origin)]


def _check_kinds(row: Row) -> None:
    kinds = {name: kind(row, name) for name in ("chosen", "rejected")}
    if kinds["chosen"] != kinds["rejected"]:
        raise Refusal("E203", f"chosen is {kinds['chosen']}, but rejected is {kinds['rejected']}")


def _write_implicit(record: Record) -> Mapping[str, object]:
    assert isinstance(record, Preference)
    sides = {"chosen": record.chosen, "rejected": record.rejected}
    if isinstance(record.prompt, str):
        return {name: record.prompt + reply for name, reply in sides.items()} | counts(record)
    wholes = {name: turns_out(whole(record.prompt, reply)) for name, reply in sides.items()}
    return wholes | counts(record)


def _write_hh(record: Record) -> Mapping[str, object]:
    assert isinstance(record, Preference)
    if not isinstance(record.prompt, str) and record.prompt[0].role == "system":
        raise UsageError(
            f"{record.origin}: hh-rlhf has no system turn; write another format (--to), or take "
            "the turn away"
        )
    sides = {"chosen": record.chosen, "rejected": record.rejected}
    return {
        name: format_dialogue(whole(record.prompt, reply)) for name, reply in sides.items()
    } | counts(record)


_OPTIONAL = {"weight", "margin"}

EXPLICIT = Format(
    "explicit", "pairs", "TRL: prompt and the two responses, as text or as turns.",
    frozenset({"prompt", "chosen", "rejected", *_OPTIONAL}), _is_explicit,
    lambda row: f"explicit prompt, {kind(row, 'prompt')}", _read_explicit, write=to_row,
    heeds=scores_as_margin,
)  # fmt: skip
IMPLICIT = Format(
    "implicit", "pairs", "TRL: two whole texts or conversations; their shared beginning is the "
    "prompt.", frozenset({"prompt", "chosen", "rejected", *_OPTIONAL}), is_pair,
    lambda row: f"shared beginning, {kind(row, 'chosen')}", _read_implicit, write=_write_implicit,
    heeds=scores_as_margin,
)  # fmt: skip
HH = Format(
    "hh-rlhf", "pairs", "Anthropic: two dialogues as one string each.",
    frozenset({"chosen", "rejected", *_OPTIONAL}), _is_hh, lambda _: "hh-rlhf dialogue", _read_hh,
    write=_write_hh, heeds=scores_as_margin,
)  # fmt: skip
