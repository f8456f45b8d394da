"""The alarm on the arms' sizes: an honest ramp is left alone however often one looks, lost records are not."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.sample_ratio import Counted, sample_ratio

RAMP = (0.05, 0.25, 0.50)
COUNTS = st.integers(min_value=0, max_value=100_000)


def ramp(rng: np.random.Generator, *, lost: float = 0.0, units: int = 4000) -> list[Counted]:
    arrived = [int(rng.binomial(units, share)) for share in RAMP]
    return [Counted(share, int(rng.binomial(n, 1 - lost)), units - n) for share, n in zip(RAMP, arrived, strict=True)]


def test_an_honest_ramp_is_seldom_accused_however_its_weights_change() -> None:
    rng = np.random.default_rng(1)
    accused = 0
    for _ in range(200):
        steps = ramp(rng)
        accused += any(sample_ratio(steps[: seen + 1]).p <= 0.05 for seen in range(len(steps)))

    assert accused / 200 <= 0.05


def test_lost_records_of_the_candidate_are_found() -> None:
    rng = np.random.default_rng(2)

    assert np.mean([sample_ratio(ramp(rng, lost=0.2)).p < 0.001 for _ in range(50)]) == 1


def test_the_counts_that_were_expected_are_said() -> None:
    found = sample_ratio([Counted(0.05, 40, 960), Counted(0.5, 100, 100)])

    assert (found.candidate, found.stable) == (140, 1060)
    assert found.expected == pytest.approx(150)


def test_steps_at_nothing_or_all_say_nothing() -> None:
    honest = Counted(0.05, 50, 950)

    assert sample_ratio([Counted(0.0, 0, 500), honest, Counted(1.0, 700, 0)]) == sample_ratio([honest])
    assert sample_ratio([]).p == 1


def test_the_evidence_of_ever_so_many_units_stays_a_number() -> None:
    found = sample_ratio([Counted(0.5, 10_000_000, 0)])

    assert math.isfinite(found.evidence)
    assert found.p < 1e-100


@given(st.lists(st.tuples(st.sampled_from(RAMP), COUNTS, COUNTS), max_size=4))
def test_p_is_a_probability(steps) -> None:
    assert 0 <= sample_ratio([Counted(*step) for step in steps]).p <= 1


def test_the_e_value_is_one_on_the_average_under_the_intended_split() -> None:
    # Summed exactly over all that twenty units can do.
    total = sum(
        math.comb(20, k)
        * Fraction(1, 4) ** k
        * Fraction(3, 4) ** (20 - k)
        * Fraction(sample_ratio([Counted(0.25, k, 20 - k)]).evidence)
        for k in range(21)
    )

    assert float(total) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [Counted(-0.1, 1, 1), Counted(1.5, 1, 1), Counted(0.5, -1, 1)])
def test_an_impossible_step_is_refused(wrong: Counted) -> None:
    with pytest.raises(ValueError, match="share from 0 to 1"):
        sample_ratio([wrong])
