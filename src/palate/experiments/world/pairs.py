"""Preference pairs of the embedded world, with label noise that is known.

A labeler with gold rewards g prefers reply a to reply b with probability
sigmoid((g(a) - g(b)) / temperature) (Bradley and Terry, 1952): near-equal replies get near-random
labels. So the best accuracy that anything can reach on these labels is known too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palate.data.records import Preference, Prompt
from palate.errors import DataError
from palate.experiments.world.gold import gold_reward


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """How good labels are, measured against the gold reward.

    Attributes:
        ceiling: Expected accuracy in [0.5, 1] of the gold reward itself on such labels.
        agreement: Share in [0, 1] of the labels as drawn that agree with the gold reward.
        num_pairs: How many pairs.
    """

    ceiling: float
    agreement: float
    num_pairs: int


def draw_pairs(
    prompts: Sequence[Prompt],
    responses_by_prompt: Sequence[Sequence[str]],
    *,
    temperature: float,
    generator: np.random.Generator,
) -> list[Preference]:
    """Pair up each prompt's responses, first with second, third with fourth, and label the pairs.

    Pairs of equal texts, and pairs with a blank response, are left out: nobody could prefer.

    Args:
        prompts: Prompts of the embedded world.
        responses_by_prompt: For each prompt, its responses; an odd last one stays unused.
        temperature: Of the labeler, in units of gold reward, > 0; higher is noisier.
        generator: Draws the labels.

    Raises:
        DataError: The two lists differ in length, or the temperature is not positive.
    """
    if len(prompts) != len(responses_by_prompt):
        raise DataError(
            f"draw_pairs: {len(prompts)} prompts but responses for {len(responses_by_prompt)}; "
            "give one list of responses for each prompt, in the same order"
        )
    pairs = []
    for prompt, responses in zip(prompts, responses_by_prompt, strict=True):
        text = _text(prompt)
        for first, second in zip(responses[::2], responses[1::2], strict=False):
            if first == second or not first.strip() or not second.strip():
                continue
            probability = preference_probability(text, first, second, temperature=temperature)
            chosen, rejected = (
                (first, second) if generator.random() < probability else (second, first)
            )
            pairs.append(
                Preference(prompt=text, chosen=chosen, rejected=rejected, origin=prompt.origin)
            )
    return pairs


def preference_probability(prompt: str, response: str, other: str, *, temperature: float) -> float:
    """Probability in [0, 1] that the labeler prefers `response` to `other`; 0.5 where gold ties."""
    if not temperature > 0:
        raise DataError(f"temperature is {temperature}; it must be > 0 (0.6 is a fair start)")
    difference = (gold_reward(prompt, response) - gold_reward(prompt, other)) / temperature
    return 0.5 * (1.0 + math.tanh(0.5 * difference))


def label_ceiling(pairs: Sequence[Preference], *, temperature: float) -> float:
    """Expected accuracy of the gold reward on labels drawn at this temperature, in [0.5, 1]."""
    return label_statistics(pairs, temperature=temperature).ceiling


def label_statistics(pairs: Sequence[Preference], *, temperature: float) -> LabelStatistics:
    """Ceiling and agreement of a set of labeled pairs; a tie of gold counts as half agreement.

    Raises:
        DataError: There are no pairs, or one is not of this world.
    """
    if not pairs:
        raise DataError("label_statistics: no pairs; draw some with draw_pairs()")
    chances = [
        preference_probability(_text(pair), pair.chosen, pair.rejected, temperature=temperature)
        for pair in pairs
    ]
    agreements = [0.5 if chance == 0.5 else float(chance > 0.5) for chance in chances]
    return LabelStatistics(
        ceiling=float(np.mean([max(chance, 1.0 - chance) for chance in chances])),
        agreement=float(np.mean(agreements)),
        num_pairs=len(pairs),
    )


def _text(record: Prompt | Preference) -> str:
    if not isinstance(record.prompt, str):
        raise DataError(
            f"{record.origin or 'a record'}: a conversation is no prompt of the embedded world"
        )
    return record.prompt
