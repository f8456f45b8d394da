from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from continuum.errors import ConfigurationError
from continuum.timespan import moment_of, rounded


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


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1.5h", datetime(2026, 3, 10, 10, 30, tzinfo=UTC)),
        (" 30d ", datetime(2026, 2, 8, 12, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 2, 28, 23, tzinfo=UTC)),
        ("2026-07-01", datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("2026-03-01T14:30", datetime(2026, 3, 1, 13, 30, tzinfo=UTC)),
        ("2026-03-01 14:30Z", datetime(2026, 3, 1, 14, 30, tzinfo=UTC)),
        ("2026-03-01T14:30-05:00", datetime(2026, 3, 1, 19, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_span_before_now_a_date_where_it_is_meant_or_a_time_with_its_offset(text: str, meant: datetime) -> None:
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert moment_of(text, now, ZoneInfo("Europe/Berlin")) == meant


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "0d", "-3d", "30", "0001-01-01", "9" * 400 + "d", "\x1b[2J"])
def test_what_is_no_moment_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write a|leave") as refused:
        moment_of(text, datetime(2026, 3, 10, 12, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 300
