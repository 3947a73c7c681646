"""A list of turns, as other people write it → a checked conversation of ours.

The order that is accepted: a system turn or none, then user and assistant in alternation, the user
first. Tool calls and other roles are refused, never cut away.
"""

from collections.abc import Mapping, Sequence

from palate.data.faults import Refusal, quote
from palate.data.records import ROLES, Turn


def parse_turns(value: object, *, name: str) -> tuple[Turn, ...]:
    """Read a list of {role, content} objects; `name` is the column, for messages."""
    if not isinstance(value, list | tuple):
        raise Refusal("E203", f"{name} is {quote(value)}, not a list of turns")
    if not value:
        raise Refusal("E301", f"{name} is an empty list")
    return tuple(_parse_turn(turn, f"{name}[{i}]") for i, turn in enumerate(value))


def parse_text(value: object, *, name: str) -> str:
    """Read a string that can be encoded as UTF-8 and holds no NUL."""
    if value is None:
        raise Refusal("E202", f"{name} is null")
    if not isinstance(value, str):
        raise Refusal("E203", f"{name} is {quote(value)}, not text")
    if "\0" in value:
        raise Refusal("E102", f"{name} holds a NUL character")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ascii(value[error.start])
        raise Refusal("E104", f"{name} holds {half}, half of a character") from None
    return value


def check_prompt(turns: Sequence[Turn], *, name: str) -> None:
    """Refuse turns that no user could have said in this order, or that end without a question."""
    check_order(turns, name=name)
    if turns[-1].role != "user":
        raise Refusal("E307", f"the last turn of {name} is of role {turns[-1].role}")


def check_order(turns: Sequence[Turn], *, name: str) -> None:
    """Refuse turns out of order and blank ones (a blank system turn is a warning elsewhere)."""
    spoken = turns[1:] if turns[0].role == "system" else turns
    offset = len(turns) - len(spoken)
    if any(turn.role == "system" for turn in spoken):
        raise Refusal("E309", f"{name} has a system turn after its first turn")
    if spoken and spoken[0].role == "assistant":
        raise Refusal("E303", f"{name} starts with an assistant turn")
    for i in range(1, len(spoken)):
        if spoken[i].role == spoken[i - 1].role:
            where = f"{name}[{offset + i - 1}] and [{offset + i}]"
            raise Refusal("E304", f"{where} are both of role {spoken[i].role}")
    for i, turn in enumerate(spoken):
        if not turn.content.strip():
            raise Refusal("E310", f"{name}[{offset + i}] ({turn.role}) is empty")


def split_reply(turns: Sequence[Turn], *, name: str) -> tuple[tuple[Turn, ...], str]:
    """Part a whole conversation into its prompt and the text of its last assistant turn."""
    if turns[-1].role != "assistant":
        raise Refusal("E306", f"the last turn of {name} is of role {turns[-1].role}")
    if len(turns) == 1:
        raise Refusal("E303", f"{name} is a lone assistant turn, without a prompt")
    prompt = tuple(turns[:-1])
    if prompt[-1].role == "assistant":
        raise Refusal("E304", f"the last two turns of {name} are both of role assistant")
    check_order(prompt, name=name)
    if prompt[-1].role != "user":
        raise Refusal("E303", f"{name} starts with an assistant turn")
    return prompt, turns[-1].content


def parse_reply(value: object, *, name: str, prompt: Sequence[Turn]) -> str:
    """Read the response to a conversation: text, or a list of one assistant turn."""
    if isinstance(value, str):
        return parse_text(value, name=name)
    turns = parse_turns(value, name=name)
    if len(turns) > len(prompt) and list(turns[: len(prompt)]) == list(prompt):
        raise Refusal("E312", f"{name} repeats the turns of prompt")
    if len(turns) != 1 or turns[0].role != "assistant":
        roles = ", ".join(turn.role for turn in turns)
        raise Refusal("E306", f"{name} must be one assistant turn; it is: {quote(roles)}")
    return turns[0].content


def _parse_turn(value: object, name: str) -> Turn:
    if not isinstance(value, Mapping):
        raise Refusal("E305", f"{name} is {quote(value)}, not an object with role and content")
    if value.get("tool_calls") or value.get("function_call"):
        raise Refusal("E311", f"{name} calls a tool")
    role = next((known for known in ROLES if known == value.get("role")), None)
    if role is None:
        raise Refusal("E302", f"{name} has the role {quote(value.get('role'))}")
    content = value.get("content")
    if not isinstance(content, str):
        raise Refusal("E305", f"{name} has no text: its content is {quote(content)}")
    return Turn(role, parse_text(content, name=f"{name}.content"))
