"""Rows as LLaMA-Factory reads them: alpaca and sharegpt, for SFT, pairs and KTO.

    alpaca              {instruction, input, output}; also system and history [[question, answer]]
    alpaca-pairs        {instruction, input, chosen, rejected}
    alpaca-ranking      {instruction, input, output: [best, …, worst]}
    alpaca-kto          {instruction, input, output, kto_tag}
    sharegpt            {conversations: [{from, value}]}; also system
    sharegpt-pairs      {conversations, chosen: {from, value}, rejected: {from, value}}
    sharegpt-kto        {conversations, kto_tag}

As LLaMA-Factory does, `instruction` and `input` become one user turn, joined by a line break.
Function calls and observations are refused.
"""

from collections.abc import Callable, Mapping

from palate.data.faults import Refusal, quote
from palate.data.formats.cells import Row, check_pair, check_response, label, require, text, weight
from palate.data.formats.format import Format, Record
from palate.data.formats.pairs import is_pair, margin
from palate.data.formats.ranked import both_options, ranked_pairs
from palate.data.formats.write import conversation, counts
from palate.data.layout import Layout
from palate.data.records import Demonstration, Preference, Prompt, Role, Turn
from palate.data.turns import check_prompt, parse_text, split_reply

_ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
}
_SPEAKERS: dict[Role, str] = {"system": "system", "user": "human", "assistant": "gpt"}
_TOOL_SPEAKERS = {"function_call", "observation", "tool", "function"}


def _alpaca_prompt(row: Row) -> tuple[Turn, ...]:
    asked = text(row, "instruction")
    if row.get("input"):
        asked = f"{asked}\n{text(row, 'input')}"
    turns = [*_system(row)]
    past = row.get("history") or ()
    if not isinstance(past, list | tuple):
        raise Refusal("E203", f"history is {quote(past)}, not a list of [question, answer]")
    for i, exchange in enumerate(past):
        if not isinstance(exchange, list | tuple) or len(exchange) != 2:
            raise Refusal("E203", f"history[{i}] is {quote(exchange)}, not [question, answer]")
        turns.append(Turn("user", parse_text(exchange[0], name=f"history[{i}][0]")))
        turns.append(Turn("assistant", parse_text(exchange[1], name=f"history[{i}][1]")))
    turns.append(Turn("user", asked))
    check_prompt(turns, name="instruction")
    return tuple(turns)


def _system(row: Row) -> list[Turn]:
    return [Turn("system", text(row, "system"))] if row.get("system") else []


def _read_alpaca(row: Row, layout: Layout, origin: str) -> list[Record]:
    response = text(row, "output")
    check_response(response)
    return [Demonstration(_alpaca_prompt(row), response, weight(row), origin)]


def _read_alpaca_kto(row: Row, layout: Layout, origin: str) -> list[Record]:
    prompt, response = _alpaca_prompt(row), text(row, "output")
    check_response(response)
    return [Demonstration(prompt, response, weight(row), origin, label(row, "kto_tag"))]


def _read_alpaca_pairs(row: Row, layout: Layout, origin: str) -> list[Record]:
    prompt, chosen, rejected = _alpaca_prompt(row), text(row, "chosen"), text(row, "rejected")
    check_pair(chosen=chosen, rejected=rejected)
    return [Preference(prompt, chosen, rejected, weight(row), margin(row, layout), origin)]


def _read_alpaca_ranking(row: Row, layout: Layout, origin: str) -> list[Record]:
    replies = require(row, "output")
    if not isinstance(replies, list | tuple):
        raise Refusal("E203", f"output is {quote(replies)}, not a list from best to worst")
    texts = [parse_text(reply, name=f"output[{i}]") for i, reply in enumerate(replies)]
    ranks = [-float(place) for place in range(len(texts))]
    return ranked_pairs(_alpaca_prompt(row), texts, ranks, row, layout, origin)


def _sharegpt_turns(row: Row) -> tuple[Turn, ...]:
    said = require(row, "conversations")
    if not isinstance(said, list | tuple):
        raise Refusal("E203", f"conversations is {quote(said)}, not a list of turns")
    if not said:
        raise Refusal("E301", "conversations is an empty list")
    return (*_system(row), *(_turn(turn, f"conversations[{i}]") for i, turn in enumerate(said)))


def _sharegpt_prompt(row: Row) -> tuple[Turn, ...]:
    turns = _sharegpt_turns(row)
    if turns[-1].role == "assistant":
        return split_reply(turns, name="conversations")[0]
    check_prompt(turns, name="conversations")
    return turns


def _turn(value: object, name: str) -> Turn:
    if not isinstance(value, Mapping):
        raise Refusal("E305", f"{name} is {quote(value)}, not an object with from and value")
    speaker = value.get("from")
    known = speaker if isinstance(speaker, str) else ""
    if known in _TOOL_SPEAKERS:
        raise Refusal("E311", f"{name} is a {known}")
    role = _ROLES.get(known)
    if role is None:
        raise Refusal("E302", f"{name} is from {quote(speaker)}, neither human, gpt nor system")
    if not isinstance(value.get("value"), str):
        raise Refusal("E305", f"{name} has no text: its value is {quote(value.get('value'))}")
    return Turn(role, parse_text(value["value"], name=f"{name}.value"))


def _reply(row: Row, name: str) -> str:
    turn = _turn(require(row, name), name)
    if turn.role != "assistant":
        raise Refusal("E306", f"{name} is from {turn.role}, not from gpt")
    return turn.content


def _read_sharegpt(row: Row, layout: Layout, origin: str) -> list[Record]:
    prompt, response = split_reply(_sharegpt_turns(row), name="conversations")
    check_response(response)
    return [Demonstration(prompt, response, weight(row), origin)]


def _read_sharegpt_kto(row: Row, layout: Layout, origin: str) -> list[Record]:
    prompt, response = split_reply(_sharegpt_turns(row), name="conversations")
    check_response(response)
    return [Demonstration(prompt, response, weight(row), origin, label(row, "kto_tag"))]


def _read_sharegpt_pairs(row: Row, layout: Layout, origin: str) -> list[Record]:
    prompt = _sharegpt_turns(row)
    check_prompt(prompt, name="conversations")
    chosen, rejected = _reply(row, "chosen"), _reply(row, "rejected")
    check_pair(chosen=chosen, rejected=rejected)
    return [Preference(prompt, chosen, rejected, weight(row), margin(row, layout), origin)]


def _write_alpaca(record: Record) -> Mapping[str, object]:
    turns = conversation(record.prompt)
    row: dict[str, object] = {"instruction": turns[-1].content, "input": ""}
    if turns[0].role == "system":
        row["system"] = turns[0].content
    past = [turn.content for turn in turns[:-1] if turn.role != "system"]
    if past:
        row["history"] = [list(pair) for pair in zip(past[::2], past[1::2], strict=True)]
    return row | _replies(record, lambda reply: reply) | _tail(record)


def _write_sharegpt(record: Record) -> Mapping[str, object]:
    turns = list(conversation(record.prompt))
    row: dict[str, object] = {}
    if turns[0].role == "system":
        row["system"] = turns.pop(0).content
    if isinstance(record, Demonstration):
        turns.append(Turn("assistant", record.response))
    row["conversations"] = [_said(turn.role, turn.content) for turn in turns]
    if isinstance(record, Preference):
        row |= _replies(record, lambda reply: _said("assistant", reply))
    return row | _tail(record)


def _replies(record: Record, written: Callable[[str], object]) -> dict[str, object]:
    if isinstance(record, Preference):
        return {"chosen": written(record.chosen), "rejected": written(record.rejected)}
    assert isinstance(record, Demonstration)
    return {"output": written(record.response)}


def _said(role: Role, content: str) -> dict[str, str]:
    return {"from": _SPEAKERS[role], "value": content}


def _tail(record: Record) -> dict[str, object]:
    assert not isinstance(record, Prompt)
    row = counts(record)
    if isinstance(record, Demonstration) and record.desirable is not None:
        row["kto_tag"] = record.desirable
    return row


def _is_alpaca(row: Row) -> bool:
    return "instruction" in row and isinstance(row.get("output"), str)


def _is_sharegpt(row: Row) -> bool:
    return isinstance(row.get("conversations"), list | tuple)


_ALPACA = frozenset({"instruction", "input", "system", "history", "weight"})
_SHAREGPT = frozenset({"conversations", "system", "weight"})
_PAIR = {"chosen", "rejected", "margin"}

ALPACA = Format(
    "alpaca", "demonstrations", "LLaMA-Factory, SFT.", _ALPACA | {"output"},
    lambda row: _is_alpaca(row) and "kto_tag" not in row, lambda _: "alpaca", _read_alpaca,
    ask=_alpaca_prompt, write=_write_alpaca,
)  # fmt: skip
ALPACA_PAIRS = Format(
    "alpaca-pairs", "pairs", "LLaMA-Factory, pairs.", _ALPACA | _PAIR,
    lambda row: "instruction" in row and is_pair(row), lambda _: "alpaca pairs",
    _read_alpaca_pairs, write=_write_alpaca,
)  # fmt: skip
ALPACA_RANKING = Format(
    "alpaca-ranking", "pairs", "LLaMA-Factory's older pairs: output from best to worst.",
    _ALPACA | {"output"},
    lambda row: "instruction" in row and isinstance(row.get("output"), list | tuple),
    lambda _: "alpaca ranking", _read_alpaca_ranking, ask=_alpaca_prompt,
    heeds=both_options,
)  # fmt: skip
ALPACA_KTO = Format(
    "alpaca-kto", "labelled", "LLaMA-Factory, KTO.", _ALPACA | {"output", "kto_tag"},
    lambda row: _is_alpaca(row) and "kto_tag" in row, lambda _: "alpaca, label", _read_alpaca_kto,
    ask=_alpaca_prompt, write=_write_alpaca,
)  # fmt: skip
SHAREGPT = Format(
    "sharegpt", "demonstrations", "LLaMA-Factory, SFT.", _SHAREGPT,
    lambda row: _is_sharegpt(row) and "kto_tag" not in row, lambda _: "sharegpt", _read_sharegpt,
    ask=_sharegpt_prompt, write=_write_sharegpt,
)  # fmt: skip
SHAREGPT_PAIRS = Format(
    "sharegpt-pairs", "pairs", "LLaMA-Factory, pairs (ranking: true).", _SHAREGPT | _PAIR,
    lambda row: _is_sharegpt(row) and is_pair(row), lambda _: "sharegpt pairs",
    _read_sharegpt_pairs, write=_write_sharegpt,
)  # fmt: skip
SHAREGPT_KTO = Format(
    "sharegpt-kto", "labelled", "LLaMA-Factory, KTO.", _SHAREGPT | {"kto_tag"},
    lambda row: _is_sharegpt(row) and "kto_tag" in row, lambda _: "sharegpt, label",
    _read_sharegpt_kto, ask=_sharegpt_prompt, write=_write_sharegpt,
)  # fmt: skip
