"""OpenAssistant's conversation trees, whole or as single messages.

    trees       {message_tree_id, prompt: {text, role, replies: [{text, role, rank, replies}]}}
    messages    {message_id, parent_id, message_tree_id, text, role, rank}, a tree's rows together

Every user message with ranked replies (0 is best) is a prompt: its conversation up to there. The
pairs are made by `Layout.rule`. Deleted messages and replies without a rank are left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from palate.data.faults import Refusal, fault, quote
from palate.data.formats.cells import Row, finite
from palate.data.formats.format import Format, Record
from palate.data.formats.ranked import both_options, ranked_pairs
from palate.data.layout import Layout
from palate.data.lines import Line
from palate.data.records import Role, Text, Turn
from palate.data.turns import check_prompt, parse_text

_ROLES: dict[str, Role] = {"prompter": "user", "assistant": "assistant"}
_MESSAGE = {"message_id", "parent_id", "message_tree_id", "text", "role"}


def is_message(row: Row) -> bool:
    """Whether a row is a single message of a tree."""
    if not row.keys() >= _MESSAGE or "replies" in row:
        return False
    names = (row["message_id"], row["message_tree_id"], row["parent_id"] or "")
    return all(isinstance(name, str) for name in names)


def trees_of(lines: Iterable[Line]) -> Iterator[Line]:
    """Messages → trees; a tree stands where its first message stands.

    Lines that are no messages pass as they are. Only one tree is held at a time, so a tree whose
    rows do not stand together is told (E503) and not joined.
    """
    seen: set[object] = set()

    def tree_id(line: Line) -> object:
        is_one = line.row is not None and is_message(line.row)
        return line.row.get("message_tree_id") if is_one and line.row is not None else None

    for name, group in groupby(lines, key=tree_id):
        if name is None:
            yield from group
            continue
        rows = list(group)
        if name in seen:
            message = f"tree {quote(name)} has rows further up, apart from these"
            found = fault("E503", message, origin=rows[0].origin)
            yield Line(rows[0].origin, None, found, [line.row for line in rows])
            continue
        seen.add(name)
        yield _tree(name, rows)


def _tree(name: object, lines: Sequence[Line]) -> Line:
    replies: dict[object, list[dict[str, object]]] = {}
    for line in lines:
        assert line.row is not None
        message = dict(line.row)
        message["replies"] = replies.setdefault(message["message_id"], [])
        replies.setdefault(message["parent_id"], []).append(message)
    roots = replies.get(None, [])
    whole = {id(message) for message in _below(roots)}
    if len(roots) != 1 or len(whole) != len(lines):
        message_ = f"tree {quote(name)} has {len(roots)} first messages, and "
        message_ += f"{len(lines) - len(whole)} of its rows have no parent there"
        found = fault("E503", message_, origin=lines[0].origin)
        return Line(lines[0].origin, None, found, [line.row for line in lines])
    return Line(lines[0].origin, {"message_tree_id": name, "prompt": roots[0]})


def _below(messages: Sequence[dict[str, object]]) -> Iterator[dict[str, object]]:
    waiting = list(messages)
    while waiting:
        message = waiting.pop()
        yield message
        inner = message["replies"]
        assert isinstance(inner, list)
        waiting.extend(inner)


def _read(row: Row, layout: Layout, origin: str) -> list[Record]:
    pairs: list[Record] = []
    for path, replies in _questions(row):
        ranked = [r for r in replies if r.get("rank") is not None]
        if len(ranked) < 2:
            continue
        texts = [parse_text(r.get("text"), name="a reply") for r in ranked]
        ranks = [-finite(r.get("rank"), "rank") for r in ranked]
        try:
            pairs += ranked_pairs(path, texts, ranks, row, layout, origin)
        except Refusal as refusal:
            if refusal.code != "W503":
                raise
    if not pairs:
        raise Refusal("W503", "no message of the tree has two replies of different rank")
    return pairs


def _questions(row: Row) -> Iterator[tuple[tuple[Turn, ...], list[Row]]]:
    """Every conversation of the tree that ends in a user turn, with its replies; in tree order."""
    waiting: list[tuple[tuple[Turn, ...], Row]] = [((), _message(row.get("prompt"), "prompt"))]
    while waiting:
        path, message = waiting.pop()
        told = message.get("role")
        role = _ROLES.get(told) if isinstance(told, str) else None
        if role is None:
            raise Refusal("E302", f"a message has the role {quote(told)}")
        turns = (*path, Turn(role, parse_text(message.get("text"), name="a message's text")))
        inner = message.get("replies") or ()
        if not isinstance(inner, list | tuple):
            raise Refusal("E503", f"replies is {quote(inner)}, not a list")
        replies = [_message(reply, "a reply") for reply in inner]
        replies = [reply for reply in replies if not reply.get("deleted")]
        if role == "user":
            check_prompt(turns, name="the conversation")
            yield turns, replies
        waiting.extend((turns, reply) for reply in reversed(replies))


def _message(value: object, name: str) -> Row:
    if not isinstance(value, Mapping):
        raise Refusal("E503", f"{name} is {quote(value)}, not a message")
    return value


def _ask(row: Row) -> Text:
    return next(_questions(row))[0]


OPEN_ASSISTANT = Format(
    "open-assistant", "pairs", "OpenAssistant: trees, or messages with parent and rank.",
    frozenset({"prompt", "tree_state"}),
    lambda row: isinstance(row.get("prompt"), Mapping) and "message_tree_id" in row,
    lambda _: "conversation tree", _read, ask=_ask, heeds=both_options,
)  # fmt: skip
