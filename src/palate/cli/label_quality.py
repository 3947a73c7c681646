"""`palate label-quality`: how good votes are, and who should be looked at first."""

from typing import TYPE_CHECKING, Annotated

import typer

from palate.cli.output import print_json
from palate.collection.store import open_store

if TYPE_CHECKING:
    from palate.measures.annotators import AnnotatorQuality

HELP = """Report agreement and, worst first, what speaks against an annotator.

Each reason is a test against what a careful annotator would do; one reason in a hundred is expected
to be a false alarm. Works while people vote."""


def label_quality(
    votes: Annotated[
        str, typer.Argument(metavar="VOTES", help="database that `palate label` writes")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    with open_store(votes, read_only=True) as store:
        report = store.quality()
    if as_json:
        print_json(report.to_json())
        return
    from palate.experiments.table import plain

    print(f"{report.num_votes} votes count, {report.num_late} came late; {report.num_complete} "
          f"pairs are complete, votes differ on {report.num_contested}")  # fmt: skip
    print(f"Krippendorff's alpha: {report.alpha or 'not yet: too few votes, or all are equal'}")
    for one in report.annotators:
        out = (
            f", excluded: {report.excluded[one.annotator]}"
            if one.annotator in report.excluded
            else ""
        )
        print()
        print(plain(f"{one.annotator}: {one.num_votes} votes{out}"))
        for reason in one.reasons:
            print(f"  {reason.code}: {reason.words} (p = {reason.p_value:.1g})")
        print(f"  {_figures(one)}")


def _figures(one: "AnnotatorQuality") -> str:
    shares = {
        "agrees with the others": one.agreeing, "left": one.left, "longer": one.longer,
        "gold": one.gold, "repeats": one.repeats, "too fast": one.fast,
    }  # fmt: skip
    return "; ".join(f"{name} {share}" for name, share in shares.items() if share.of)
