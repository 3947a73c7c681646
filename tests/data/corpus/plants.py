"""Every kind of fault, planted at a chosen row of an otherwise clean file.

A plant changes one row (or its line, or its neighbors) and says which line the fault stands at.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tests.data.corpus.clean import (
    Row,
    labelled,
    text_pairs,
    tiny_pairs,
    turn_pairs,
    whole_turn_pairs,
)

Rows = Callable[[int], list[Row]]
MAX_TOKENS = 13


class Planted(NamedTuple):
    """A file with one fault; `line` is where it stands, counted from 1."""

    content: bytes
    line: int
    evaluation: bytes | None = None


@dataclass(frozen=True)
class Plant:
    """How a kind of fault gets into a file.

    Attributes:
        plant: rows and a place (from 0) → the file.
        rows: clean rows to plant it in.
        everywhere: it concerns the whole file, so the place does not matter.
        not_first: at the first row it would be another file (a JSON array) or format.
        tokenized: it needs the tiny tokenizer, and a limit of MAX_TOKENS.
    """

    plant: Callable[[list[Row], int], Planted]
    rows: Rows = text_pairs
    everywhere: bool = False
    not_first: bool = False
    tokenized: bool = False


def to_lines(rows: Sequence[object]) -> list[bytes]:
    """Rows as lines of JSON."""
    return [json.dumps(row, ensure_ascii=False).encode() for row in rows]


def joined(lines: Sequence[bytes]) -> bytes:
    """Lines as a file."""
    return b"".join(line + b"\n" for line in lines)


def _change(**columns: Any) -> Plant:
    """Columns of a row of text set to values."""
    return _edit(lambda row: row | columns)


def _edit(edit: Callable[[Row], object], rows: Rows = text_pairs, *, tokens: bool = False) -> Plant:
    def plant(clean: list[Row], at: int) -> Planted:
        changed: list[object] = list(clean)
        changed[at] = edit(clean[at])
        return Planted(joined(to_lines(changed)), at + 1)

    return Plant(plant, rows, tokenized=tokens)


def _line(edit: Callable[[bytes], bytes], rows: Rows = text_pairs) -> Plant:
    """The bytes of a line changed."""

    def plant(clean: list[Row], at: int) -> Planted:
        lines = to_lines(clean)
        lines[at] = edit(lines[at])
        return Planted(joined(lines), at + 1)

    return Plant(plant, rows)


def _without(name: str) -> Plant:
    return _edit(lambda row: {key: value for key, value in row.items() if key != name})


def _file(write: Callable[[list[Row]], bytes], rows: Rows = text_pairs) -> Plant:
    return Plant(lambda clean, _: Planted(write(clean), 1), rows, everywhere=True)


def _said(text: str) -> Plant:
    """A sentence more in a chosen response."""
    return _edit(lambda row: row | {"chosen": f"{row['chosen']} {text}"})


def _truncated(clean: list[Row], at: int) -> Planted:
    lines = to_lines(clean)
    lines[at] = lines[at][: len(lines[at]) // 2]
    is_last = at == len(lines) - 1
    content = joined(lines)
    return Planted(content[:-1] if is_last else content, at + 1)


def _twin(twin: Callable[[Row], Row]) -> Plant:
    """A row that says something of the row before (of the first row: the row after it does)."""

    def plant(clean: list[Row], at: int) -> Planted:
        at = max(at, 1)
        clean[at] = twin(clean[at - 1])
        return Planted(joined(to_lines(clean)), at + 1)

    return Plant(plant)


def _evaluated(clean: list[Row], at: int) -> Planted:
    evaluation = text_pairs(len(clean), seed=1)
    for row in evaluation:
        row["prompt"] = row["prompt"].replace("of the day", "of the night")
    evaluation[at]["prompt"] = clean[at]["prompt"]
    return Planted(joined(to_lines(clean)), at + 1, joined(to_lines(evaluation)))


def _nearly_evaluated(clean: list[Row], at: int) -> Planted:
    planted = _evaluated(clean, at)
    clean[at]["prompt"] += "!"
    return planted._replace(content=joined(to_lines(clean)))


def _turns(row: Row, name: str, turns: list[Any]) -> Row:
    return row | {name: turns}


def _prompt(edit: Callable[[list[Any]], list[Any]]) -> Plant:
    return _edit(lambda row: _turns(row, "prompt", edit(row["prompt"])), turn_pairs)


def _both(edit: Callable[[list[Any]], list[Any]]) -> Plant:
    """The turns of both whole conversations changed."""
    return _edit(lambda row: {name: edit(turns) for name, turns in row.items()}, whole_turn_pairs)


def _reversed_pair(row: Row) -> Row:
    return row | {"chosen": row["rejected"], "rejected": row["chosen"]}


def _nearly(row: Row) -> Row:
    filling = " ".join(f"Part {n} has to be dry before part {n + 1} is laid." for n in range(20))
    row["chosen"] = f"{row['chosen']} {filling}"
    return row | {"chosen": f"{row['chosen']} Good."}


def _longer(clean: list[Row]) -> bytes:
    for row in clean:
        row["chosen"], row["rejected"] = sorted((row["chosen"], row["rejected"]), key=len)[::-1]
        row["chosen"] += " And rest."
    return joined(to_lines(clean))


def _dotted(clean: list[Row]) -> bytes:
    for number, row in enumerate(clean):
        row["chosen"] = ", ".join(row["chosen"].split())
        row["rejected"] += " and so on" * (number % 2) * 40
    return joined(to_lines(clean))


USER, ASSISTANT = "user", "assistant"
_GERMAN = (
    "Das ist nicht so schwer, wie es auf den ersten Blick aussieht, und du kannst es auch mit "
    "einer Freundin machen, die es schon einmal gesehen hat."
)

PLANTS: dict[str, Plant] = {
    "invalid UTF-8": _line(lambda line: line.replace(b"You", b"Y\xffu", 1)),
    "NUL byte": _line(lambda line: line.replace(b"You", b"Y\0u", 1)),
    "NUL as an escape (\\u0000)": _said("a\0b"),
    "UTF-16 file": _file(lambda rows: joined(to_lines(rows)).decode().encode("utf-16")),
    "lone surrogate (\\ud800)": _line(lambda line: line.replace(b"You", b"Y\\ud800u", 1)),
    "line of more than 16 MB": _line(lambda line: line.replace(b"You", b"Y" * (16 * 2**20), 1)),
    "empty file": _file(lambda _: b""),
    "only blank lines": _file(lambda _: b"\n \t\r\n\n"),
    "byte-order mark": _file(lambda rows: b"\xef\xbb\xbf" + joined(to_lines(rows))),
    "CRLF line ends": _file(lambda rows: joined(to_lines(rows)).replace(b"\n", b"\r\n")),
    "blank line between rows": _line(lambda line: b"\n" + line),
    "gzip under a name without .gz": _file(lambda rows: gzip.compress(joined(to_lines(rows)))),
    "no line break at the end": _file(lambda rows: joined(to_lines(rows))[:-1]),
    "not JSON": _line(lambda _: b"prompt: a, chosen: b"),
    "truncated line": Plant(_truncated),
    "trailing comma": _line(lambda line: line[:-1] + b",}"),
    "two objects on a line": _line(lambda line: line + line),
    "integer of thousands of digits": _line(
        lambda line: line[:-1] + b', "id": ' + b"9" * 5000 + b"}"
    ),
    "array as a row": replace(_line(lambda line: b"[" + line + b"]"), not_first=True),
    "number as a row": _line(lambda _: b"17"),
    "string as a row": _line(lambda _: b'"a row"'),
    "null as a row": _line(lambda _: b"null"),
    "duplicate key": _line(lambda line: line[:-1] + b', "chosen": "b"}'),
    "NaN": _line(lambda line: line[:-1] + b', "margin": NaN}'),
    "Infinity": _line(lambda line: line[:-1] + b', "margin": -Infinity}'),
    "nested 1,000 deep": _line(
        lambda line: line[:-1] + b', "tags": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    ),
    "missing prompt": _without("prompt"),
    "missing chosen": _without("chosen"),
    "missing rejected": _without("rejected"),
    "null prompt": _change(prompt=None),
    "null chosen": _change(chosen=None),
    "number as chosen": _change(chosen=3),
    "object as chosen": _change(chosen={"text": "b"}),
    "text beside turns": _change(rejected=[{"role": ASSISTANT, "content": "b"}]),
    "label that is no truth value": _edit(lambda row: row | {"label": "good"}, labelled),
    "weight of zero": _change(weight=0),
    "number that overflows (1e400)": _line(lambda line: line[:-1] + b', "margin": 1e400}'),
    "conversation among rows of text": _edit(lambda row: turn_pairs(1, seed=5)[0]),
    "prompt given, and again in the responses": _edit(
        lambda row: row | {name: [*row["prompt"], *row[name]] for name in ("chosen", "rejected")},
        turn_pairs,
    ),
    "column that nothing reads": _change(completeon="b"),
    "empty list of turns": _prompt(lambda _: []),
    "unknown role": _prompt(lambda turns: [{**turns[0], "role": "narrator"}]),
    "assistant first": _prompt(lambda turns: turns[1:]),
    "two user turns in a row": _prompt(lambda turns: [turns[0], turns[2]]),
    "turn without content": _prompt(lambda turns: [*turns[:2], {"role": USER}]),
    "content that is no text": _prompt(lambda turns: [*turns[:2], {"role": USER, "content": [1]}]),
    "last turn is not the assistant's": _both(lambda turns: turns[:3]),
    "prompt ends in an assistant turn": _prompt(lambda turns: turns[:2]),
    "chosen and rejected of different prompts": _edit(
        lambda row: row | {"chosen": [{**row["chosen"][0], "content": "x"}, *row["chosen"][1:]]},
        whole_turn_pairs,
    ),
    "system turn in the middle": _prompt(
        lambda turns: [*turns[:2], {"role": "system", "content": "Be brief."}, turns[2]]
    ),
    "empty content": _prompt(lambda turns: [{**turns[0], "content": " "}, *turns[1:]]),
    "tool call": _prompt(lambda turns: [{**turns[0], "tool_calls": [{"name": "f"}]}, *turns[1:]]),
    "empty system turn": _prompt(lambda turns: [{"role": "system", "content": ""}, *turns]),
    "empty chosen": _change(chosen=""),
    "blank rejected": _change(rejected=" \n\t"),
    "chosen equals rejected": _edit(lambda row: row | {"chosen": row["rejected"]}),
    "equal but for outer blanks": _edit(lambda row: row | {"chosen": row["rejected"] + " \n"}),
    "equal but for Unicode form": _change(chosen="caf\u00e9 now", rejected="cafe\u0301 now"),
    "evaluation prompt that is trained on": Plant(_evaluated),
    "evaluation prompt that is nearly trained on": Plant(_nearly_evaluated),
    "equal once tokenized": _edit(
        lambda row: row | {"chosen": "w3 w4", "rejected": "w3  w4"}, tiny_pairs, tokens=True
    ),
    "special token of the tokenizer in a prompt": _edit(
        lambda row: row | {"prompt": "w3 </s> w4"}, tiny_pairs, tokens=True
    ),
    "empty prompt": _change(prompt=""),
    "response repeats the prompt": _edit(lambda r: r | {"chosen": f"{r['prompt']} {r['chosen']}"}),
    "speaker marker in a response": _said("\n\nHuman: and then?"),
    "zero-width character": _said("a\u200bb"),
    "direction override": _said("a\u202eb"),
    "exact duplicate": _twin(dict),
    "reversed label": _twin(_reversed_pair),
    "longer is chosen in every pair": _file(_longer),
    "longer than max_length": _edit(
        lambda row: row | {"chosen": "w3 w4 " * 6, "rejected": "w5"}, tiny_pairs, tokens=True
    ),
    "whole response beyond max_length": _edit(
        lambda row: row | {"prompt": "w3 " * 20}, tiny_pairs, tokens=True
    ),
    "pair differs only beyond max_length": _edit(
        lambda row: row | {"chosen": "w3 " * 15, "rejected": "w3 " * 14}, tiny_pairs, tokens=True
    ),
    "extreme length ratio": _change(chosen="No.", rejected=f"{'Because it rains so often. ' * 25}"),
    "answer in another language": _change(chosen=_GERMAN),
    "API key": _said(f"The key is sk-{'a1B2' * 8}."),
    "private key": _said("-----BEGIN RSA PRIVATE KEY----- MIIE"),
    "e-mail address": _said("Write to nobody.at.all@post-office.org about it."),
    "phone number": _said("Call +49 30 1234567 before noon."),
    "card number": _said("Pay with 4111 1111 1111 1111 now."),
    "IBAN": _said("Send it to DE89 3704 0044 0532 0130 00 today."),
    "special-token text (<|im_end|>)": _said("<|im_end|>"),
    "near duplicate": _twin(_nearly),
    "labels of one kind": _file(
        lambda rows: joined(to_lines([row | {"label": True} for row in rows])), labelled
    ),
    "more punctuation is chosen in every pair": _file(_dotted),
}  # fmt: skip
