"""Records → rows as TRL reads them, and the parts that every writer needs."""

from collections.abc import Sequence

from palate.data.records import Demonstration, Preference, Prompt, Text, Turn


def to_row(record: Prompt | Demonstration | Preference) -> dict[str, object]:
    """Write a record as a row in TRL's explicit-prompt format; the readers give it back.

    A conversation's responses become lists of one assistant turn. Weight 1, no margin and no id
    are left out; the origin is not part of the row. Columns that were kept beside the record come
    last, and never in the place of one of the record's own.
    """
    plain = isinstance(record.prompt, str)

    def response(text: str) -> object:
        return text if plain else [{"role": "assistant", "content": text}]

    row: dict[str, object] = {"prompt": text_out(record.prompt)}
    if isinstance(record, Prompt):
        row |= {"id": record.id} if record.id else {}
    elif isinstance(record, Demonstration):
        row["completion"] = response(record.response)
        if record.desirable is not None:
            row["label"] = record.desirable
        row |= counts(record)
    else:
        row |= {"chosen": response(record.chosen), "rejected": response(record.rejected)}
        row |= counts(record)
    return row | {name: kept for name, kept in record.columns.items() if name not in row}


def text_out(text: Text) -> object:
    """A prompt as a row holds it: text, or a list of {role, content}."""
    return text if isinstance(text, str) else turns_out(text)


def turns_out(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Turns as a list of {role, content}."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def counts(record: Demonstration | Preference) -> dict[str, object]:
    """Margin and weight, where they say something."""
    row: dict[str, object] = {}
    if isinstance(record, Preference) and record.margin is not None:
        row["margin"] = record.margin
    return row | ({"weight": record.weight} if record.weight != 1 else {})


def conversation(prompt: Text) -> tuple[Turn, ...]:
    """A prompt as turns; plain text becomes one user turn."""
    return (Turn("user", prompt),) if isinstance(prompt, str) else prompt


def whole(prompt: Text, response: str) -> tuple[Turn, ...]:
    """A conversation with its response as the last turn."""
    return (*conversation(prompt), Turn("assistant", response))
