"""Records → trees: rendered, checked for length, ready for a forest."""

from collections.abc import Sequence

from palate.data.records import Demonstration, Preference, Prompt
from palate.data.render import Overlong, Renderer
from palate.data.trees import Response, Tree, fit
from palate.errors import DataError


def preference_trees(
    records: Sequence[Preference],
    renderer: Renderer,
    *,
    max_length: int,
    overlong: Overlong = "refuse",
) -> tuple[list[Tree], int]:
    """Pairs as trees of two responses, chosen first.

    Returns:
        The trees, and how many were dropped for their length.

    Raises:
        DataError: a row cannot be rendered, or is too long and `overlong` is "refuse".
    """
    trees = []
    for record in records:
        pair = renderer.preference(record)
        responses = (Response(pair.chosen), Response(pair.rejected))
        trees.append(Tree(pair.prompt, responses, record.weight, record.margin, record.origin))
    return fit(trees, max_length=max_length, overlong=overlong)


def comparison_trees(
    records: Sequence[Preference | Demonstration],
    renderer: Renderer,
    *,
    max_length: int,
    overlong: Overlong = "refuse",
) -> tuple[list[Tree], int]:
    """Pairs, or labelled responses, as trees; returns and raises as `preference_trees`."""
    pairs = [record for record in records if isinstance(record, Preference)]
    labelled = [record for record in records if isinstance(record, Demonstration)]
    if labelled and pairs:
        raise DataError(
            f"{len(pairs)} rows are pairs and {len(labelled)} single responses; give one kind"
        )
    if labelled:
        return demonstration_trees(labelled, renderer, max_length=max_length, overlong=overlong)
    return preference_trees(pairs, renderer, max_length=max_length, overlong=overlong)


def demonstration_trees(
    records: Sequence[Demonstration],
    renderer: Renderer,
    *,
    max_length: int,
    overlong: Overlong = "refuse",
) -> tuple[list[Tree], int]:
    """Demonstrations as trees of one response; returns and raises as `preference_trees`."""
    trees = []
    for record in records:
        shown = renderer.demonstration(record)
        response = Response(shown.response)
        trees.append(
            Tree(
                shown.prompt,
                (response,),
                record.weight,
                origin=record.origin,
                desirable=record.desirable,
            )
        )
    return fit(trees, max_length=max_length, overlong=overlong)


def prompt_trees(
    records: Sequence[Prompt],
    renderer: Renderer,
    *,
    max_length: int,
    overlong: Overlong = "refuse",
) -> tuple[list[Tree], int]:
    """Prompts as trees without responses; returns and raises as `preference_trees`."""
    trees = [
        Tree(renderer.prompt(record), origin=record.origin, source=record) for record in records
    ]
    return fit(trees, max_length=max_length, overlong=overlong)
