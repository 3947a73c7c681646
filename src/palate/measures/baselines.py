"""What needs no reward model: trivial baselines that a reward model has to beat.

If "the longer response wins" or a bag of words reaches a reward model's accuracy, the pairs can be
told apart without reading them, and so can whatever is optimized against that reward model.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from palate.errors import DataError
from palate.measures.estimate import Clusters, Estimate, rate_estimate
from palate.measures.logistic import SparseRows, fit_logistic

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SIGN = re.compile(r"[^\w\s]")


def longer_wins(
    *,
    chosen: Sequence[str],
    rejected: Sequence[str],
    groups: Clusters | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Accuracy of "the response of more characters is the chosen one"; equal lengths count ½.

    Args:
        chosen: a pair each.
        rejected: of the same pairs.
        groups: the prompt of each pair; None: a prompt each.
        confidence: of the interval, in (0, 1).

    Returns:
        ½ where length says nothing; below ½ where shorter responses are preferred.

    Raises:
        DataError: if the numbers of responses differ, or there are fewer than two prompts.
    """
    return _more_wins(len, chosen, rejected, groups, confidence, name="longer-wins accuracy")


def more_punctuation_wins(
    *,
    chosen: Sequence[str],
    rejected: Sequence[str],
    groups: Clusters | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """Accuracy of "more signs that are neither letter, digit nor blank": lists, quotes, markup.

    Arguments, value and errors as `longer_wins`.
    """
    return _more_wins(
        lambda text: len(_SIGN.findall(text)),
        chosen,
        rejected,
        groups,
        confidence,
        name="punctuation accuracy",
    )


def first_wins(
    first_chosen: Sequence[bool], *, groups: Clusters | None = None, confidence: float = 0.95
) -> Estimate:
    """Share of comparisons in which the response that was shown first was chosen.

    Args:
        first_chosen: a comparison each, whether the first (left, upper) response was chosen.
        groups: the prompt of each; None: a prompt each.
        confidence: of the interval, in (0, 1).

    Returns:
        ½ where the place says nothing.

    Raises:
        DataError: if there are fewer than two prompts.
    """
    return rate_estimate(
        np.asarray(first_chosen, dtype=np.float64),
        unit="share",
        clusters=groups,
        confidence=confidence,
        name="first-wins share",
    )


def bag_of_words(
    *,
    chosen: Sequence[str],
    rejected: Sequence[str],
    groups: Clusters | None = None,
    num_folds: int = 5,
    l2: float = 1.0,
    confidence: float = 0.95,
) -> Estimate:
    """Cross-validated accuracy of a logistic regression on word counts, blind to their order.

    A pair's features are the differences of log(1 + count) of each word; the model has one weight
    per word and no intercept, so that swapping a pair swaps its prediction. Pairs of one group are
    never on both sides of a split.

    Args:
        chosen: a pair each.
        rejected: of the same pairs.
        groups: the prompt of each pair; None: a prompt each.
        num_folds: ≥ 2.
        l2: weight of the squared-norm penalty, in nats.
        confidence: of the interval, in (0, 1).

    Returns:
        Accuracy on held-out pairs, ½ for a pair whose words are all new or balanced.

    Raises:
        DataError: if the numbers of responses differ, or there are fewer groups than folds.
    """
    _check_pairs(chosen, rejected)
    keys = np.arange(len(chosen)) if groups is None else np.asarray(groups)
    labels = np.unique(keys, return_inverse=True)[1]
    if len(labels) == 0 or labels.max() + 1 < num_folds:
        raise DataError(
            f"bag-of-words accuracy: {num_folds} folds need as many prompts, and there are "
            f"{len(np.unique(labels))}"
        )
    features = _count_differences(chosen, rejected)
    margins = np.zeros(len(chosen))
    for fold in range(num_folds):
        held_out = labels % num_folds == fold
        weights = fit_logistic(features.only(~held_out), l2=l2)
        margins[held_out] = features.times(weights)[held_out]
    return rate_estimate(
        (1 + np.sign(margins)) / 2,
        unit="accuracy",
        clusters=labels,
        confidence=confidence,
        name="bag-of-words accuracy",
    )


def _more_wins(
    measure: Callable[[str], int],
    chosen: Sequence[str],
    rejected: Sequence[str],
    groups: Clusters | None,
    confidence: float,
    *,
    name: str,
) -> Estimate:
    _check_pairs(chosen, rejected)
    margins = [measure(c) - measure(r) for c, r in zip(chosen, rejected, strict=True)]
    return rate_estimate(
        (1 + np.sign(margins)) / 2,
        unit="accuracy",
        clusters=groups,
        confidence=confidence,
        name=name,
    )


def _count_differences(chosen: Sequence[str], rejected: Sequence[str]) -> SparseRows:
    """[pairs, words]; a word that only held-out pairs have keeps weight 0 under the penalty."""
    columns: dict[str, int] = {}
    rows: list[int] = []
    cols: list[int] = []
    counts: list[int] = []
    signs: list[float] = []
    for row, (ours, theirs) in enumerate(zip(chosen, rejected, strict=True)):
        for text, sign in ((ours, 1.0), (theirs, -1.0)):
            words = Counter(_TOKEN.findall(text.lower()))
            cols += [columns.setdefault(word, len(columns)) for word in words]
            counts += words.values()
            rows += [row] * len(words)
            signs += [sign] * len(words)
    values = np.log1p(np.array(counts, dtype=np.float64)) * np.array(signs)
    places = (np.array(rows, dtype=np.int64), np.array(cols, dtype=np.int64))
    return SparseRows(*places, values, len(chosen), max(1, len(columns)))


def _check_pairs(chosen: Sequence[str], rejected: Sequence[str]) -> None:
    if len(chosen) != len(rejected):
        raise DataError(f"{len(chosen)} chosen responses, but {len(rejected)} rejected ones")
    if len(chosen) == 0:
        raise DataError("there is no pair, so a baseline has no accuracy")
