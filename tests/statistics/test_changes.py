"""The detector of a lost quality: that it finds one, and seldom finds one that is not there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.changes import fallen, reference_below

SCORES = st.lists(st.floats(min_value=0, max_value=1), max_size=200)


def passed(rng: np.random.Generator, mean: float, count: int) -> list[float]:
    return (rng.random(count) < mean).astype(float).tolist()


def test_a_fall_is_found_soon_after_it() -> None:
    rng = np.random.default_rng(1)
    found = [fallen(passed(rng, 0.9, 1000) + passed(rng, 0.6, 500), reference=0.85, healthy=20_000).at for _ in range(100)]

    assert all(at is not None for at in found)
    assert np.mean([at is not None and at > 1000 for at in found]) > 0.95
    assert np.median([at or 0 for at in found]) < 1100


def test_a_champion_at_its_reference_is_seldom_accused() -> None:
    rng = np.random.default_rng(2)
    lengths = [fallen(passed(rng, 0.85, 4000), reference=0.85, healthy=200).at or 4000 for _ in range(300)]

    assert np.mean(lengths) > 200


def test_one_that_is_better_than_its_reference_is_all_but_never_accused() -> None:
    rng = np.random.default_rng(3)

    assert all(fallen(passed(rng, 0.92, 5000), reference=0.85, healthy=20_000).at is None for _ in range(20))


def test_the_alarm_says_when_it_was_and_stays_when_more_is_known() -> None:
    scores = [1.0] * 50 + [0.0] * 30
    found = fallen(scores, reference=0.8, healthy=1000)
    later = fallen(scores + [1.0] * 100, reference=0.8, healthy=1000)

    assert found.at is not None
    assert 50 < found.at < 80
    assert later.at == found.at
    assert found.evidence >= found.threshold == 1000
    assert found.mean == pytest.approx(50 / 80)


def test_nothing_seen_is_nothing_fallen() -> None:
    found = fallen([], reference=0.8, healthy=1000)

    assert (found.scores, found.evidence, found.at) == (0, 0.0, None)


@given(SCORES, st.floats(min_value=0, max_value=1))
def test_a_lower_reference_is_never_sooner_alarmed(scores: list[float], reference: float) -> None:
    strict = fallen(scores, reference=reference, healthy=100).at
    lax = fallen(scores, reference=reference / 2, healthy=100).at

    assert lax is None or (strict is not None and strict <= lax)


@given(SCORES, st.floats(min_value=0, max_value=1))
def test_the_evidence_is_never_negative_and_the_alarm_is_its_crossing(scores: list[float], reference: float) -> None:
    found = fallen(scores, reference=reference, healthy=50)

    assert found.evidence >= 0
    assert (found.at is not None) == (found.evidence >= 50)


@pytest.mark.parametrize("wrong", [-0.5, 2.0, float("nan")])
def test_what_is_off_the_scale_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        fallen([0.5, wrong], reference=0.5, healthy=100)
    with pytest.raises(ValueError, match="from 0 to 1"):
        fallen([0.5], reference=wrong, healthy=100)


def test_the_reference_is_lowered_by_what_is_tolerated_or_by_what_it_may_be_off() -> None:
    assert reference_below(0.9, 0.005, tolerated=0.05) == pytest.approx(0.85)
    assert reference_below(0.9, 0.05, tolerated=0.05) == pytest.approx(0.9 - 2.326 * 0.05)
    assert reference_below(0.02, 0.01, tolerated=0.05) == 0
