import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.multiple import holm

P_VALUES = st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1), max_size=8)


def test_worked_values() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


@given(P_VALUES)
def test_adjusted_values_lie_between_the_raw_and_bonferronis_and_keep_the_order(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)

    assert list(adjusted) == list(p_values)
    for name, p in p_values.items():
        assert p <= adjusted[name] <= min(1.0, len(p_values) * p) + 1e-12
    ordered = sorted(p_values, key=lambda name: p_values[name])
    assert [adjusted[name] for name in ordered] == sorted(adjusted.values())


def test_three_equal_models_raise_one_false_alarm_in_twenty_at_most() -> None:
    rng = np.random.default_rng(5)
    alarms = [min(holm(dict(zip("abc", p, strict=True))).values()) < 0.05 for p in rng.random((4000, 3)).tolist()]

    assert 0.02 < sum(alarms) / len(alarms) < 0.07
