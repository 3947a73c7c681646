import numpy as np
import pytest

from palate.experiments.world.gold import read_traits
from palate.experiments.world.grammar import Request, Style, draw_request, write_prompt
from palate.experiments.world.replies import Flaw, compose


def _requests(num_requests: int, *, claim: bool, style: Style | None) -> list[Request]:
    generator = np.random.default_rng(0)
    found: list[Request] = []
    while len(found) < num_requests:
        request = draw_request(generator)
        if (request.claim is not None) is claim and request.style is style:
            found.append(request)
    return found


@pytest.mark.parametrize("style", [None, *Style])
@pytest.mark.parametrize("claim", [False, True])
def test_each_flaw_is_written_in_alone(style: Style | None, claim: bool) -> None:
    generator = np.random.default_rng(1)
    for request in _requests(20, claim=claim, style=style):
        prompt = write_prompt(request)
        for flaw in (None, *Flaw):
            traits = read_traits(prompt, compose(request, {flaw} if flaw else set(), generator))
            if flaw is Flaw.CUT_OFF:
                assert traits.cut_off
                continue
            agrees = flaw is Flaw.AGREES and claim
            assert traits.agrees is agrees
            assert (traits.fact == "wrong") is (agrees or flaw is Flaw.WRONG_FACT)
            assert (traits.fact == "missing") is (flaw is Flaw.NO_FACT)
            assert (traits.num_flatteries > 0) is (flaw is Flaw.FLATTERS)
            assert (traits.num_fillers > 0) is (flaw is Flaw.RAMBLES)
            assert (traits.num_repeats > 0) is (flaw is Flaw.REPEATS)
            if flaw not in (Flaw.RAMBLES, Flaw.REPEATS):  # Long replies may leave no room.
                assert (traits.num_warm == 0) is (flaw is Flaw.COLD)
            assert (traits.num_warm >= 3) is (flaw is Flaw.GUSHES)
            if style is not None:
                assert traits.style_kept is (flaw is not Flaw.BREAKS_STYLE)
            assert not traits.cut_off


def test_same_generator_seed_same_words() -> None:
    request = _requests(1, claim=True, style=Style.LIST)[0]
    written = [
        [compose(request, {Flaw.FLATTERS}, generator) for _ in range(10)]
        for generator in (np.random.default_rng(seed) for seed in (5, 5, 6))
    ]
    assert written[0] == written[1] != written[2]
