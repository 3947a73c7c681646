"""Rows that were tokenized once → a file that is mapped into memory the next time.

A file's name is the hash of all that decides its tokens: every record, the tokenizer with its chat
template, the limits, and the code that renders. So nothing stale can be found, only nothing. A file
has its own checksum: one that is torn or from elsewhere is made anew, and that is said. Where it
cannot be written, training goes on without it.

A file is a line that says what it is, a line of JSON (key, counts, checksum), and arrays, each on 8
bytes: `lengths` of sequences (a tree's prompt and its responses), `firsts` (where a tree's begin),
`tokens`, `weights`, `margins` (NaN: none), `desirable` (-1: nobody said), `origins` (UTF-8)
and `origin_ends`.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from palate.data import grow, render, trees
from palate.data.records import Demonstration, Preference
from palate.data.render import Renderer
from palate.data.trees import Response, Tree

Grow = Callable[..., tuple[list[Tree], int]]
Cached = Preference | Demonstration

# Fewer rows are tokenized faster than their file is worth.
MIN_ROWS = 2000
_MAGIC = b"palate tokens 1\n"
_TYPES = {
    "lengths": "<i4", "firsts": "<i8", "tokens": "<i4", "weights": "<f8", "margins": "<f8",
    "desirable": "<i1", "origins": "<u1", "origin_ends": "<i8",
}  # fmt: skip
_log = logging.getLogger("palate")


def cached_trees(
    make: Grow, records: Sequence[Cached], renderer: Renderer, *, max_length: int, overlong: str
) -> tuple[Sequence[Tree], int]:
    """Trees of records and the number of dropped ones, from the cache where they are there.

    Args:
        make: what renders them (`preference_trees` and its like).
        records: rows that all have responses.
        renderer: text to tokens.
        max_length: tokens of prompt + response.
        overlong: what happens to longer rows.

    Raises:
        DataError: as `make`; nothing is cached then.
    """
    limits = {"max_length": max_length, "overlong": overlong}
    if len(records) < MIN_ROWS:
        return make(records, renderer, **limits)
    key = _key(make, records, renderer.tokenizer, limits)
    path = cache_folder() / "tokens" / f"{key}.tokens"
    found = _open(path, key)
    if found is not None:
        return found
    made, num_dropped = make(records, renderer, **limits)
    try:
        _write(path, key, made, num_dropped)
    except OSError as error:
        _log.info("tokens are not cached: %s cannot be written (%s)", path, error.strerror)
        return made, num_dropped
    return _open(path, key) or (made, num_dropped)


def cache_folder() -> Path:
    """`$PALATE_CACHE`, else `palate` in the user's cache folder. All in it may be deleted."""
    if named := os.environ.get("PALATE_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "palate"


class MappedTrees(Sequence[Tree]):
    """Trees whose tokens stay in a file; each is made when it is asked for."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._starts = np.concatenate([[0], np.cumsum(arrays["lengths"], dtype=np.int64)])

    def __len__(self) -> int:
        return len(self._arrays["weights"])

    @overload
    def __getitem__(self, index: int) -> Tree: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tree]: ...
    def __getitem__(self, index: int | slice) -> Tree | list[Tree]:
        if isinstance(index, slice):
            return [self._tree(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._tree(index % len(self))

    def __iter__(self) -> Iterator[Tree]:
        return map(self._tree, range(len(self)))

    def _tree(self, index: int) -> Tree:
        arrays = self._arrays
        first, last = (int(at) for at in arrays["firsts"][index : index + 2])
        prompt, *responses = (self._sequence(i) for i in range(first, last))
        margin, desirable = float(arrays["margins"][index]), int(arrays["desirable"][index])
        start, end = (int(at) for at in arrays["origin_ends"][index : index + 2])
        return Tree(
            prompt,
            tuple(Response(tokens) for tokens in responses),
            float(arrays["weights"][index]),
            None if np.isnan(margin) else margin,
            bytes(arrays["origins"][start:end]).decode("utf-8"),
            None if desirable < 0 else bool(desirable),
        )

    def _sequence(self, index: int) -> tuple[int, ...]:
        start, end = self._starts[index : index + 2]
        return tuple(self._arrays["tokens"][start:end].tolist())


def _key(
    make: Grow,
    records: Sequence[Cached],
    tokenizer: PreTrainedTokenizerBase,
    limits: dict[str, object],
) -> str:
    told = sha256()
    for module in (grow, render, trees):
        told.update(Path(str(module.__file__)).read_bytes())
    told.update(Path(__file__).read_bytes())
    inner = getattr(tokenizer, "backend_tokenizer", None)
    words = inner.to_str() if inner is not None else json.dumps(tokenizer.get_vocab())
    about = [type(tokenizer).__name__, words, tokenizer.chat_template, repr(tokenizer)]
    told.update(repr([make.__name__, limits, about]).encode("utf-8"))
    for record in records:
        told.update(repr(record).encode("utf-8", errors="surrogatepass"))
    return told.hexdigest()


def _write(path: Path, key: str, made: Sequence[Tree], num_dropped: int) -> None:
    """Write a file that is whole or absent."""
    arrays = _arrays(made)
    payload = sha256()
    for name in _TYPES:
        payload.update(arrays[name].data)
    head = {
        "key": key, "num_dropped": num_dropped, "sha256": payload.hexdigest(),
        "counts": {name: len(arrays[name]) for name in _TYPES},
    }  # fmt: skip
    beginning = _MAGIC + json.dumps(head).encode("ascii") + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            file.write(beginning + b"\0" * (-len(beginning) % 8))
            for name in _TYPES:
                data = arrays[name].tobytes()
                file.write(data + b"\0" * (-len(data) % 8))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _arrays(made: Sequence[Tree]) -> dict[str, NDArray[Any]]:
    sequences = [[tree.prompt, *(r.tokens for r in tree.responses)] for tree in made]
    origins = [tree.origin.encode("utf-8", errors="replace") for tree in made]
    plain: dict[str, Any] = {
        "lengths": [len(tokens) for some in sequences for tokens in some],
        "firsts": np.cumsum([0, *(len(some) for some in sequences)]),
        "weights": [tree.weight for tree in made],
        "margins": [np.nan if tree.margin is None else tree.margin for tree in made],
        "desirable": [-1 if tree.desirable is None else int(tree.desirable) for tree in made],
        "origins": np.frombuffer(b"".join(origins), np.uint8),
        "origin_ends": np.cumsum([0, *map(len, origins)]),
    }
    tokens = (token for some in sequences for sequence in some for token in sequence)
    plain["tokens"] = np.fromiter(tokens, _TYPES["tokens"])
    return {name: np.ascontiguousarray(plain[name], kind) for name, kind in _TYPES.items()}


def _open(path: Path, key: str) -> tuple[MappedTrees, int] | None:
    """The trees of a file; None where there is none, or one that cannot be trusted."""
    try:
        if not path.exists():
            return None
        with path.open("rb") as file:
            lines = file.readline(len(_MAGIC)), file.readline(2**16)
        if lines[0] != _MAGIC:
            raise ValueError("another program's file")
        head = json.loads(lines[1])
        if head["key"] != key:
            raise ValueError("of other rows")
        whole = np.memmap(path, np.uint8, mode="r")
        at, arrays, payload = sum(map(len, lines)), dict[str, NDArray[Any]](), sha256()
        for name, kind in _TYPES.items():
            at += -at % 8
            size = head["counts"][name] * np.dtype(kind).itemsize
            if at + size > len(whole):
                raise ValueError("torn")
            arrays[name] = whole[at : at + size].view(kind)
            payload.update(arrays[name].data)
            at += size
        if payload.hexdigest() != head["sha256"]:
            raise ValueError("damaged")
        return MappedTrees(arrays), int(head["num_dropped"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.info("%s is not used (%s); the rows are tokenized anew", path, error)
        return None
