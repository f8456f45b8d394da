from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from continuum.spool.sampling import is_sampled, remember_rates, remembered_rates


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_what_is_captured_at_one_rate_is_captured_at_every_higher_one(unit: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert is_sampled(unit, high) or not is_sampled(unit, low)


def test_the_share_that_is_captured_is_the_rate() -> None:
    assert abs(sum(is_sampled(f"conversation {n}", 0.3) for n in range(20_000)) / 20_000 - 0.3) < 0.02


def test_all_and_nothing() -> None:
    assert is_sampled("any", 1.0)
    assert not is_sampled("any", 0.0)


def test_rates_are_remembered_for_the_processes_to_come(tmp_path: Path) -> None:
    remember_rates(tmp_path, {"rare": 0.1, "all": 1.0})
    assert remembered_rates(tmp_path) == {"rare": 0.1}

    (tmp_path / "sample_rates.json").write_text('{"rare": "often", "all": [')
    assert remembered_rates(tmp_path) == {}
    assert remembered_rates(tmp_path / "nowhere") == {}
