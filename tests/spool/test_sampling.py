from hypothesis import given
from hypothesis import strategies as st

from continuum.spool.sampling import is_sampled


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_what_is_captured_at_one_rate_is_captured_at_every_higher_one(unit: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert is_sampled(unit, high) or not is_sampled(unit, low)


def test_the_share_that_is_captured_is_the_rate() -> None:
    assert abs(sum(is_sampled(f"conversation {n}", 0.3) for n in range(20_000)) / 20_000 - 0.3) < 0.02


def test_all_and_nothing() -> None:
    assert is_sampled("any", 1.0)
    assert not is_sampled("any", 0.0)
