"""docs/pitfalls.md promises tests; they must be there."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "pitfalls.md"
_NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_row_names_a_test_that_is_there() -> None:
    rows = [
        line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| what goes wrong |"))
    ]
    assert len(rows) > 30
    for row in rows:
        named = _NAMED.findall(row)
        assert named, f"names no test: {row}"
        for path, name in named:
            assert name in _tests_in(TESTS / path), f"{path} has no {name}"


def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
