"""Pairs to vote on, and a clock that a test sets."""

from palate.collection import Item


def some_items(count: int, *, start: int = 0) -> list[Item]:
    """Items of distinct prompts; the first response is the good one, now longer, now shorter."""
    return [
        Item(
            prompt=f"What is {number} plus one?",
            first=f"It is {number + 1}." + " Glad to help." * (number % 2),
            second=f"That is {number + 2}." + " Ask me anything." * ((number + 1) % 2),
            source=f"sums.jsonl:{number + 1}",
            name=f"sum-{number}",
        )
        for number in range(start, start + count)
    ]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
