"""What only several rows together show: repetition, contradiction, leakage between splits."""

from collections.abc import Iterator

from palate.data.checks.near import NearIndex
from palate.data.checks.near_prompts import NearPrompts
from palate.data.checks.seen import Seen
from palate.data.faults import Fault, fault


def duplicates(seen: Seen) -> Iterator[Fault]:
    """Rows that repeat an earlier one up to blanks and form; the fault stands at the repetition."""
    for row in seen.duplicates():
        yield fault("W406", f"repeats {row.earlier}", origin=row.origin)


def contradictions(seen: Seen) -> Iterator[Fault]:
    """Rows that judge the other way what an earlier row has judged."""
    for row in seen.contradictions():
        yield fault("W407", f"{row.earlier} says the opposite", origin=row.origin)


def overlaps(seen: Seen) -> Iterator[Fault]:
    """Evaluation rows whose prompt (in any blanks, form or case) is trained on; it stands there."""
    for row in seen.overlaps():
        yield fault("E404", f"this prompt is trained on at {row.earlier}", origin=row.origin)


def near_duplicates(near: NearIndex, seen: Seen) -> Iterator[Fault]:
    """Rows that nearly repeat an earlier one.

    Rows that ask the very same are left out: they are duplicates or contradictions.
    """
    for pair in near.near_pairs():
        if seen.question_of(pair.number) != seen.question_of(pair.earlier):
            message = f"nearly repeats {seen.origin_of(pair.earlier)} ({pair.alike:.0%} alike)"
            yield fault("W417", message, origin=seen.origin_of(pair.number))


def near_leaks(near: NearPrompts, seen: Seen) -> Iterator[Fault]:
    """Training rows whose prompt is nearly an evaluation prompt; equal ones are `overlaps`."""
    for pair in near.near_pairs():
        if seen.prompt_of(pair.number) != seen.prompt_of(pair.earlier):
            message = (
                f"nearly the prompt of {seen.origin_of(pair.earlier)} ({pair.alike:.0%} alike)"
            )
            yield fault("W420", message, origin=seen.origin_of(pair.number))
