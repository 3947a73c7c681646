"""The `tools` column: functions that an assistant may call, which chat templates are shown.

A list of JSON objects as transformers and TRL write them, or the same as JSON text (in a table).
They belong to the prompt; calls of tools are not learned (E311).
"""

import json
from collections.abc import Mapping
from typing import Any

from palate.data.faults import Refusal, quote

Tools = tuple[Mapping[str, Any], ...]
COLUMN = "tools"


def parse_tools(value: object) -> Tools:
    """Read a cell of the column; nothing, null and an empty list are no tools.

    Raises:
        Refusal: it is no list of objects.
    """
    given = value
    if isinstance(value, str) and value.strip():
        try:
            given = json.loads(value)
        except ValueError:
            given = None
    if not given and (given is not None or value is None):
        return ()
    if not isinstance(given, list | tuple) or not all(isinstance(one, Mapping) for one in given):
        raise Refusal("E203", f"tools is {quote(value)}, not a list of objects")
    return tuple(given)


def tools_of(columns: Mapping[str, object]) -> Tools:
    """The tools among the columns beside a record."""
    return parse_tools(columns.get(COLUMN))
