from palate.measures.parting import Reading, have_parted


def _read(*pairs: tuple[float, float]) -> list[Reading]:
    """Proxy and gold, each with a standard error of 0.1: two of a difference are 0.283."""
    return [Reading(proxy, 0.1, gold, 0.1) for proxy, gold in pairs]


def test_proxy_up_and_gold_down_beyond_chance() -> None:
    parted = _read((0.0, 0.0), (1.0, 1.0), (1.5, 0.6), (2.0, 0.3))
    assert have_parted(parted, patience=2)
    assert have_parted(parted, patience=1)
    # The third is before the peak's second follower.
    assert not have_parted(parted, patience=3)


def test_what_is_no_parting() -> None:
    assert not have_parted([], patience=1)
    assert not have_parted(_read((0.0, 1.0)), patience=1)
    assert not have_parted(_read((0.0, 0.0), (1.0, 1.0), (2.0, 2.0)), patience=1)
    # Gold wavers within chance; proxy rises within chance; both fall.
    assert not have_parted(_read((0.0, 1.0), (1.0, 0.75)), patience=1)
    assert not have_parted(_read((0.0, 1.0), (0.25, 0.0)), patience=1)
    assert not have_parted(_read((1.0, 1.0), (0.0, 0.0)), patience=1)


def test_a_slow_decline_is_seen_from_the_peak() -> None:
    slow = [(0.2 * i, 1.0 - 0.1 * i) for i in range(6)]
    assert not have_parted(_read(*slow[:3]), patience=1)
    assert have_parted(_read(*slow), patience=2)


def test_patience_is_in_a_row() -> None:
    assert not have_parted(_read((0, 1.0), (1, 0.0), (1, 0.9), (1, 0.0)), patience=2)
