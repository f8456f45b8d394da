from datetime import timedelta

import pytest

from continuum.timespan import rounded


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (10, "10 s"),
        (126.47, "2 min 6 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (5400, "1 h 30 min"),
        (3 * 86400, "3 d"),
    ],
)
def test_a_span_is_said_to_its_two_largest_units(seconds: float, said: str) -> None:
    assert rounded(timedelta(seconds=seconds)) == said
