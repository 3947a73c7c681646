"""One row (a JSON object, a row of a `datasets.Dataset`) → one record, and back.

Each kind of record has a function that names a row's format and one that reads it. A file keeps to
one format; columns that a format does not know are left alone.

    preferences     {prompt, chosen, rejected}, text or turns; {chosen, rejected} that share their
                    beginning, text or turns; hh-rlhf dialogues
    demonstrations  {prompt, completion}, {prompt, response}, {messages}, {text}; a preference's
                    chosen side where asked for
    comparisons     preferences; or demonstrations with a label (true: desirable), as for KTO
    prompts         {prompt}, {messages}; a preference's prompt

Optional columns: weight and margin (numbers), id (text or integer).
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from os.path import commonprefix
from typing import NamedTuple

from palate.data.faults import Refusal, RowFault, fault, quote
from palate.data.hh import is_dialogue, parse_dialogue
from palate.data.records import Demonstration, Preference, Prompt, Text, Turn
from palate.data.turns import (
    check_prompt,
    parse_reply,
    parse_text,
    parse_turns,
    split_reply,
)

Row = Mapping[str, object]

# A shared beginning that ends like this ends where a speaker's turn begins: "Answer:", "<bot>".
_TURN_BORDER = re.compile(r"(?:(?:\A|\n)\w[\w ]{0,30}(?<!\d):|[>\]])\Z")


# What makes a prompt's record; every other column is kept as it is.
_PROMPT_COLUMNS = {"prompt", "messages", "chosen", "rejected", "id"}


class SharedBeginning(NamedTuple):
    """Two texts, parted where they begin to differ."""

    prompt: str
    chosen: str
    rejected: str


def parse_preference(row: Row, *, origin: str) -> Preference:
    """Read one preference in any format of the module's table.

    Raises:
        RowFault: the row cannot be used; `.fault` has the code.
    """
    try:
        return _preference(row, origin)
    except Refusal as refusal:
        raise RowFault(fault(refusal.code, str(refusal), origin=origin)) from None


def parse_demonstration(row: Row, *, origin: str, use_chosen: bool = False) -> Demonstration:
    """Read one demonstration; with `use_chosen`, the chosen side of a preference.

    Raises:
        RowFault: the row cannot be used; `.fault` has the code.
    """
    try:
        if use_chosen:
            pair = _preference(row, origin)
            return Demonstration(pair.prompt, pair.chosen, pair.weight, origin)
        return _demonstration(row, origin)
    except Refusal as refusal:
        raise RowFault(fault(refusal.code, str(refusal), origin=origin)) from None


def parse_comparison(row: Row, *, origin: str) -> Preference | Demonstration:
    """Read one preference, or one response with its label.

    Raises:
        RowFault: the row cannot be used; `.fault` has the code.
    """
    if not _is_labelled(row):
        return parse_preference(row, origin=origin)
    try:
        shown = _demonstration(row, origin)
        return replace(shown, desirable=_label(row))
    except Refusal as refusal:
        raise RowFault(fault(refusal.code, str(refusal), origin=origin)) from None


def parse_prompt(row: Row, *, origin: str) -> Prompt:
    """Read one prompt, or the prompt of a preference.

    Raises:
        RowFault: the row cannot be used; `.fault` has the code.
    """
    try:
        columns = {name: value for name, value in row.items() if name not in _PROMPT_COLUMNS}
        return Prompt(_prompt(row, origin), _id(row), origin, columns)
    except Refusal as refusal:
        raise RowFault(fault(refusal.code, str(refusal), origin=origin)) from None


def to_row(record: Prompt | Demonstration | Preference) -> dict[str, object]:
    """Write a record as a row in TRL's explicit-prompt format; the readers give it back.

    A conversation's responses become lists of one assistant turn. Weight 1, no margin and no id
    are left out; the origin is not part of the row.
    """
    plain = isinstance(record.prompt, str)

    def response(text: str) -> object:
        return text if plain else [{"role": "assistant", "content": text}]

    row: dict[str, object] = {"prompt": _text_out(record.prompt)}
    if isinstance(record, Prompt):
        return row | ({"id": record.id} if record.id else {})
    if isinstance(record, Demonstration):
        row["completion"] = response(record.response)
        if record.desirable is not None:
            row["label"] = record.desirable
    else:
        row["chosen"], row["rejected"] = response(record.chosen), response(record.rejected)
        if record.margin is not None:
            row["margin"] = record.margin
    return row | ({"weight": record.weight} if record.weight != 1 else {})


def preference_format(row: Row) -> str:
    """Name the format of a preference row."""
    kinds = {name: _kind(row, name) for name in ("chosen", "rejected")}
    if kinds["chosen"] != kinds["rejected"]:
        raise Refusal("E203", f"chosen is {kinds['chosen']}, but rejected is {kinds['rejected']}")
    prompt_kind = _kind(row, "prompt") if "prompt" in row else None
    if prompt_kind == "turns":
        return "explicit prompt, turns"
    if kinds["chosen"] == "turns":  # a prompt that is text then repeats one of the turns
        return "shared beginning, turns"
    if prompt_kind == "text":
        return "explicit prompt, text"
    dialogues = [is_dialogue(str(row[name])) for name in ("chosen", "rejected")]
    return "hh-rlhf dialogue" if all(dialogues) else "shared beginning, text"


def comparison_format(row: Row) -> str:
    """Name the format of a row of comparisons."""
    return f"{demonstration_format(row)}, label" if _is_labelled(row) else preference_format(row)


def demonstration_format(row: Row) -> str:
    """Name the format of a demonstration row."""
    if "messages" in row:
        return "messages"
    if "prompt" in row:
        return f"prompt and {_response_column(row)}, {_kind(row, 'prompt')}"
    _require(row, "text", wanted="prompt and completion, prompt and response, messages, or text")
    return "text"


def prompt_format(row: Row) -> str:
    """Name the format of a prompt row."""
    if "chosen" in row and "rejected" in row:
        return preference_format(row)
    if "messages" in row and "prompt" not in row:
        return "messages"
    return f"prompt, {_kind(row, 'prompt')}"


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


def _preference(row: Row, origin: str) -> Preference:
    match preference_format(row):
        case "explicit prompt, text":
            prompt: Text = parse_text(row["prompt"], name="prompt")
            chosen = parse_text(row["chosen"], name="chosen")
            rejected = parse_text(row["rejected"], name="rejected")
        case "explicit prompt, turns":
            prompt = parse_turns(row["prompt"], name="prompt")
            check_prompt(prompt, name="prompt")
            chosen = parse_reply(row["chosen"], name="chosen", prompt=prompt)
            rejected = parse_reply(row["rejected"], name="rejected", prompt=prompt)
        case "shared beginning, text":
            whole = [parse_text(row[name], name=name) for name in ("chosen", "rejected")]
            _check_pair(chosen=whole[0], rejected=whole[1])
            prompt, chosen, rejected = split_shared_beginning(chosen=whole[0], rejected=whole[1])
        case form:
            read = _dialogue if form == "hh-rlhf dialogue" else _turns
            prompt, chosen = split_reply(read(row["chosen"], "chosen"), name="chosen")
            other, rejected = split_reply(read(row["rejected"], "rejected"), name="rejected")
            if prompt != other:
                raise Refusal("E308", "chosen and rejected differ before their last turn")
            _check_repeated_prompt(row, prompt)
    _check_pair(chosen=chosen, rejected=rejected)
    return Preference(prompt, chosen, rejected, _weight(row), _number(row, "margin"), origin)


def _demonstration(row: Row, origin: str) -> Demonstration:
    form = demonstration_format(row)
    prompt: Text
    if form == "text":
        prompt, response = "", parse_text(row["text"], name="text")
    elif form == "messages":
        prompt, response = split_reply(_turns(row["messages"], "messages"), name="messages")
        _check_repeated_prompt(row, prompt)
    elif isinstance(row["prompt"], str):
        column = _response_column(row)
        prompt = parse_text(row["prompt"], name="prompt")
        response = parse_text(row[column], name=column)
    else:
        column = _response_column(row)
        prompt = parse_turns(row["prompt"], name="prompt")
        check_prompt(prompt, name="prompt")
        response = parse_reply(row[column], name=column, prompt=prompt)
    if not response.strip():
        raise Refusal("E401", "the response is empty")
    return Demonstration(prompt, response, _weight(row), origin)


def _prompt(row: Row, origin: str) -> Text:
    if "chosen" in row and "rejected" in row:
        return _preference(row, origin).prompt
    if prompt_format(row) == "prompt, text":
        return parse_text(row["prompt"], name="prompt")
    column = "prompt" if "prompt" in row else "messages"
    turns = parse_turns(row[column], name=column)
    if column == "messages" and turns[-1].role == "assistant":
        return split_reply(turns, name=column)[0]
    check_prompt(turns, name=column)
    return turns


def _turns(value: object, name: str) -> tuple[Turn, ...]:
    return parse_turns(value, name=name)


def _dialogue(value: object, name: str) -> tuple[Turn, ...]:
    return parse_dialogue(parse_text(value, name=name))


def _check_pair(*, chosen: str, rejected: str) -> None:
    for name, response in (("chosen", chosen), ("rejected", rejected)):
        if not response.strip():
            raise Refusal("E401", f"{name} is empty")
    if chosen == rejected:
        raise Refusal("E402", "chosen and rejected are the same text")
    if _plain_form(chosen) == _plain_form(rejected):
        raise Refusal("E403", "chosen and rejected differ in outer blanks or Unicode form only")


def _plain_form(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _check_repeated_prompt(row: Row, turns: tuple[Turn, ...]) -> None:
    prompt = row.get("prompt")
    if not isinstance(prompt, str):
        return
    asked = [turn.content.strip() for turn in turns if turn.role == "user"]
    if prompt.strip() not in asked:
        raise Refusal("E312", "the prompt column is not one of the user turns beside it")


def _require(row: Row, name: str, *, wanted: str | None = None) -> object:
    if name not in row:
        columns = ", ".join(quote(str(key)) for key in sorted(map(str, row))[:8])
        there = f"the row has {columns}" if columns else "the row has no column"
        raise Refusal("E201", f"no {wanted or name}; {there}")
    if row[name] is None:
        raise Refusal("E202", f"{name} is null")
    return row[name]


def _kind(row: Row, name: str) -> str:
    value = _require(row, name)
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "turns"
    raise Refusal("E203", f"{name} is {quote(value)}, neither text nor a list of turns")


def _response_column(row: Row) -> str:
    if "completion" in row:
        _require(row, "completion")
        return "completion"
    hint = (
        " (to learn the chosen side: --use-chosen, or use_chosen=True)" if "chosen" in row else ""
    )
    _require(row, "response", wanted=f"completion or response{hint}")
    return "response"


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal("E203", f"{name} is {quote(value)}, not a number")
    if not abs(value) <= 1e300 or not math.isfinite(value):
        raise Refusal("E204", f"{name} is {quote(value)}")
    return float(value)


def _weight(row: Row) -> float:
    weight = _number(row, "weight")
    if weight is not None and weight <= 0:
        raise Refusal("E204", f"weight is {weight:g}; it must be > 0")
    return 1.0 if weight is None else weight


def _is_labelled(row: Row) -> bool:
    return "label" in row and "chosen" not in row


def _label(row: Row) -> bool:
    label = row["label"]
    if not isinstance(label, bool | int) or label not in (0, 1):
        raise Refusal("E203", f"label is {quote(label)}, neither true nor false")
    return bool(label)


def _id(row: Row) -> str:
    value = row.get("id")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Refusal("E203", f"id is {quote(value)}, neither text nor an integer")
    return str(value)


def _text_out(text: Text) -> object:
    if isinstance(text, str):
        return text
    return [{"role": turn.role, "content": turn.content} for turn in text]
