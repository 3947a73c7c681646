"""Who may vote: names, roles, and secrets of which only the hash is kept."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from palate.collection.acts import append, require_annotator
from palate.collection.events import Event
from palate.collection.log import Log
from palate.collection.state import Annotator, Role, State
from palate.errors import UsageError


def enroll(log: Log, name: str, role: Role) -> tuple[Annotator, str]:
    """Write somebody into the log; gives them and their secret.

    Raises:
        UsageError: the name is empty, too long, or has characters that cannot be shown.
    """
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError(
            f"annotator {name!r}: a name has 1 to 100 printable characters and no line break"
        )
    secret = secrets.token_urlsafe(32)
    with log.writing() as state:
        known = next((one.id for one in state.annotators.values() if one.name == name), None)
        one = Annotator(known or len(state.annotators) + 1, name, role, _hashed(secret))
        content = {"id": one.id, "name": name, "role": role, "token_hash": one.token_hash}
        append(log, Event("annotator", content=content))
    return one, secret


def judge_annotator(
    log: Log, kind: Literal["exclude", "include"], admin: int, content: Mapping[str, Any]
) -> None:
    """Write whether the votes of `content["annotator"]` count from now on.

    Raises:
        UsageError: nobody has this id.
    """
    with log.writing() as state:
        require_annotator(state, content["annotator"])
        append(log, Event(kind, annotator=admin, content=content))


def who_shows(state: State, secret: str) -> Annotator | None:
    """Who has this secret; None for nobody."""
    shown = _hashed(secret)
    for one in state.annotators.values():
        if secrets.compare_digest(one.token_hash, shown):
            return one
    return None


def _hashed(secret: str) -> str:
    # 256 random bits need no slow hash: nobody can try them all.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
