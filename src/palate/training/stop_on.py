"""The setting `stop_on`: which findings end a run; no torch."""

from difflib import get_close_matches

from palate.errors import RecipeError
from palate.measures.findings.rules import RULES

# What stands before the finding's name in a run's `stop_reason`.
REASON = "finding:"


def findings_of(given: str) -> frozenset[str]:
    """The findings that `stop_on` names.

    Raises:
        RecipeError: there is none of such a name.
    """
    if given.strip() in ("none", ""):
        return frozenset()
    if given.strip() == "all":
        return frozenset(RULES)
    names = frozenset(name.strip() for name in given.split(","))
    for name in sorted(names - RULES.keys()):
        near = get_close_matches(name, RULES, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/findings.md lists them"
        raise RecipeError(
            f"stop_on is {given!r}, and {name!r} is no finding; {hint} (all: any finding of the "
            "level warning or above; none: go on whatever is found)"
        )
    return names
