"""docs/data.md: every format has a section, and its examples are of it."""

import json
import re
from pathlib import Path

from palate.data.doors import ANY
from palate.data.formats import FORMATS
from palate.data.layout import AS_THEY_SAY, RULES

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def test_every_format_has_a_section_in_the_order_in_which_they_are_tried() -> None:
    named = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)
    assert set(named) == set(FORMATS)
    tried = [name for name in FORMATS if name in named]
    assert named == tried


def test_every_example_is_of_its_section() -> None:
    name, found = "", set()
    for line in PAGE.splitlines():
        if heading := re.match(r"### `(.+)`$", line):
            name = heading[1]
        if line.startswith("    {"):
            row = json.loads(line)
            form = ANY.find(row, AS_THEY_SAY)
            assert form.name == name
            assert form.read(row, AS_THEY_SAY, "")
            found.add(name)
    assert found == set(FORMATS) - {"arena-labels"}


def test_every_rule_is_explained() -> None:
    assert all(f"`{rule}`" in PAGE for rule in RULES)
