"""Single responses and prompts, as TRL writes them.

unpaired            {prompt, completion, label}: text, or turns
messages            {messages}: a conversation whose last turn is the response
prompt-completion   {prompt, completion} or {prompt, response}: text, or turns
text                {text}: a response without a prompt
prompts             {prompt} or {messages} that ends in a user turn
"""

from collections.abc import Mapping
from dataclasses import replace

from palate.data.formats.cells import (
    Row,
    check_repeated_prompt,
    check_response,
    identity,
    kind,
    label,
    require,
    text,
    weight,
)
from palate.data.formats.format import Format, Record
from palate.data.formats.write import counts, to_row, turns_out, whole
from palate.data.layout import Layout
from palate.data.records import Demonstration, Prompt, Text
from palate.data.turns import check_prompt, parse_reply, parse_turns, split_reply


def response_column(row: Row) -> str:
    """The column of a prompt's response, or a refusal."""
    if "completion" in row:
        return "completion"
    hint = (
        " (to learn the chosen side: --use-chosen, or use_chosen=True)" if "chosen" in row else ""
    )
    if "response" not in row:
        require(row, "response", wanted=f"completion or response{hint}")
    return "response"


def _has_response(row: Row) -> bool:
    return "prompt" in row and ("completion" in row or "response" in row)


def _called(row: Row) -> str:
    return f"prompt and {response_column(row)}, {kind(row, 'prompt')}"


def _read_response(row: Row, layout: Layout, origin: str) -> list[Record]:
    prompt_kind, column = kind(row, "prompt"), response_column(row)
    require(row, column)
    if prompt_kind == "text":
        prompt: Text = text(row, "prompt")
        response = text(row, column)
    else:
        prompt = parse_turns(row["prompt"], name="prompt")
        check_prompt(prompt, name="prompt")
        response = parse_reply(row[column], name=column, prompt=prompt)
    check_response(response)
    return [Demonstration(prompt, response, weight(row), origin)]


def _read_unpaired(row: Row, layout: Layout, origin: str) -> list[Record]:
    (shown,) = _read_response(row, layout, origin)
    assert isinstance(shown, Demonstration)
    return [replace(shown, desirable=label(row))]


def _read_messages(row: Row, layout: Layout, origin: str) -> list[Record]:
    turns = parse_turns(require(row, "messages"), name="messages")
    prompt, response = split_reply(turns, name="messages")
    check_repeated_prompt(row, prompt)
    check_response(response)
    return [Demonstration(prompt, response, weight(row), origin)]


def _read_text(row: Row, layout: Layout, origin: str) -> list[Record]:
    response = text(row, "text")
    check_response(response)
    return [Demonstration("", response, weight(row), origin)]


def _read_prompt(row: Row, layout: Layout, origin: str) -> list[Record]:
    return [Prompt(_prompt(row), identity(row), origin)]


def _prompt(row: Row) -> Text:
    column = _prompt_column(row)
    if column == "prompt" and kind(row, "prompt") == "text":
        return text(row, "prompt")
    turns = parse_turns(row[column], name=column)
    if column == "messages" and turns[-1].role == "assistant":
        return split_reply(turns, name=column)[0]
    check_prompt(turns, name=column)
    return turns


def _prompt_column(row: Row) -> str:
    return "messages" if "messages" in row and "prompt" not in row else "prompt"


def _prompt_called(row: Row) -> str:
    is_messages = _prompt_column(row) == "messages"
    return "messages" if is_messages else f"prompt, {kind(row, 'prompt')}"


def _write_messages(record: Record) -> Mapping[str, object]:
    assert isinstance(record, Demonstration)
    return {"messages": turns_out(whole(record.prompt, record.response))} | counts(record)


def _write_text(record: Record) -> Mapping[str, object]:
    assert isinstance(record, Demonstration)
    return {"text": record.response} | counts(record)


_SINGLE = frozenset({"prompt", "completion", "response", "weight"})

UNPAIRED = Format(
    "unpaired", "labelled", "TRL: one response and whether people want it.", _SINGLE | {"label"},
    lambda row: _has_response(row) and "label" in row and "chosen" not in row,
    lambda row: f"{_called(row)}, label", _read_unpaired, ask=_prompt, write=to_row,
)  # fmt: skip
MESSAGES = Format(
    "messages", "demonstrations", "TRL: a conversation; its last turn is the response.",
    frozenset({"prompt", "messages", "weight"}), lambda row: "messages" in row,
    lambda _: "messages", _read_messages, ask=_prompt, write=_write_messages,
)  # fmt: skip
PROMPT_COMPLETION = Format(
    "prompt-completion", "demonstrations", "TRL: prompt and response, as text or as turns.",
    _SINGLE, _has_response, _called, _read_response, ask=_prompt, write=to_row,
)  # fmt: skip
TEXT = Format(
    "text", "demonstrations", "TRL: a text without a prompt.", frozenset({"text", "weight"}),
    lambda row: "text" in row and "prompt" not in row, lambda _: "text", _read_text,
    ask=lambda row: text(row, "prompt"), write=_write_text,
)  # fmt: skip
PROMPTS = Format(
    "prompts", "prompts", "Prompts alone, to sample from.", frozenset({"prompt", "messages", "id"}),
    lambda row: "prompt" in row or "messages" in row, _prompt_called, _read_prompt, write=to_row,
)  # fmt: skip
