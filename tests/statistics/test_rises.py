import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.rises import Shortfall, rise_of, shortfall_of

ALPHA = 0.01
SCORES = st.lists(st.floats(min_value=1, max_value=5), min_size=4, max_size=30)


def answers(
    rng: np.random.Generator, count: int, *, better: float = 0.0, longer: float = 0.0, scale: float = 1.0
) -> tuple[list[float], list[float]]:
    """A judge's scores, who likes what is long, and those of a witness who does not, on a scale of its own."""
    quality = rng.normal(3.3 + better, 0.9, count)
    judge = np.clip(quality + rng.normal(longer, 0.5, count), 1, 5)
    witness = np.clip(np.round(3 + scale * (quality - 3) + rng.normal(0, 0.5, count)), 1, 5)
    return judge.tolist(), witness.tolist()


def compared(seed: int, count: int = 200, **after: float) -> Shortfall:
    rng, scale = np.random.default_rng(seed), after.get("scale", 1.0)
    return shortfall_of(answers(rng, count, scale=scale), answers(rng, count, **after), alpha=ALPHA)


def share_missing(**after: float) -> float:
    return float(np.mean([compared(seed, **after).p < ALPHA for seed in range(400)]))


def test_nothing_is_missing_where_nothing_changed() -> None:
    assert share_missing() <= 0.025


@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("better", [0.2, 0.5, 1.0])
def test_nor_where_the_answers_became_better_whatever_the_witness_makes_of_a_point(better: float, scale: float) -> None:
    assert share_missing(better=better, scale=scale) <= 0.01


def test_a_rise_that_the_witness_does_not_see_is_missing() -> None:
    assert share_missing(longer=0.6, better=-0.2) >= 0.95
    assert share_missing(longer=0.6) >= 0.9


def test_a_witness_of_its_own_mind_does_not_follow() -> None:
    def strangers(seed: int) -> Shortfall:
        rng = np.random.default_rng(seed)
        before, after = ((rng.uniform(1, 5, 100).tolist(), rng.uniform(1, 5, 100).tolist()) for _ in range(2))
        return shortfall_of(before, after, alpha=ALPHA)

    assert np.mean([strangers(seed).follows for seed in range(200)]) < 0.1
    assert all(compared(seed).follows for seed in range(20))


def test_a_witness_that_says_the_same_of_all_is_no_error() -> None:
    flat = ([3.0, 4.0, 2.0, 5.0, 3.0], [4.0] * 5)

    found = shortfall_of(flat, flat, alpha=ALPHA)

    assert (found.slope, found.expected, found.shortfall, found.p, found.follows) == (0, 0, 0, 1, False)
    same = ([3.0] * 5, [4.0, 3.0, 5.0, 4.0, 4.0])
    assert shortfall_of(same, same, alpha=ALPHA).slope == 0


@given(SCORES, SCORES)
def test_a_rise_lies_in_its_interval_and_its_reverse_is_its_opposite(before: list[float], after: list[float]) -> None:
    there, back = rise_of(np.array(before), np.array(after), alpha=0.05), rise_of(np.array(after), np.array(before), alpha=0.05)

    assert there.low <= there.rise <= there.high
    assert math.isclose(there.rise, -back.rise, abs_tol=1e-12)
    assert math.isclose(there.low, -back.high, abs_tol=1e-9)
    assert 0 <= there.p <= 1


@given(SCORES, SCORES, st.floats(min_value=0.2, max_value=3), st.floats(min_value=-2, max_value=2))
def test_the_witnesss_scale_decides_nothing(before: list[float], after: list[float], factor: float, offset: float) -> None:
    def seen(scores: list[float]) -> list[float]:
        return [score + (n % 3) / 3 for n, score in enumerate(scores)]

    def rescaled(scores: list[float]) -> list[float]:
        return [factor * score + offset for score in seen(scores)]

    plain = shortfall_of((before, seen(before)), (after, seen(after)), alpha=ALPHA)
    scaled = shortfall_of((before, rescaled(before)), (after, rescaled(after)), alpha=ALPHA)

    assert math.isclose(scaled.shortfall, factor * plain.shortfall, abs_tol=1e-6)
    assert scaled.low <= scaled.shortfall <= scaled.high


def test_too_few_conversations_are_refused() -> None:
    with pytest.raises(ValueError, match="four conversations on each side, found 3 and 5"):
        shortfall_of(([1, 2, 3], [1, 2, 3]), ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]), alpha=ALPHA)
