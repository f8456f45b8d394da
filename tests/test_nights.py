"""Each night is served once, whatever the zone, the clocks and the daemon do."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.nights import LEAST_APART, Night, is_served, next_night, night_at, night_of
from continuum.policy import SchedulePolicy

QUARTER = timedelta(minutes=15)
ZONES = sorted(available_timezones() - {"Factory", "localtime"})
zones = st.sampled_from(ZONES)
hours = st.integers(0, 23)
moments = st.integers(0, 13_800 * 86_400).map(lambda seconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def served_by(schedules: list[tuple[datetime, SchedulePolicy]], ticks: list[datetime]) -> list[Night]:
    """The nights that a daemon serves which looks at these moments; the policy is the newest of those set by then."""
    served: list[Night] = []
    for tick in ticks:
        policy = [schedule for since, schedule in schedules if since <= tick][-1]
        night = night_at(policy, tick)
        if night is not None and not is_served(night, served):
            served.append(night)
    return served


def ticks_from(start: datetime, days: float) -> list[datetime]:
    """Each quarter of an hour."""
    first = start.replace(minute=start.minute // 15 * 15, second=0, microsecond=0)
    return [first + QUARTER * n for n in range(int(days * 96))]


@pytest.mark.parametrize(
    ("zone", "begins"),
    [
        ("UTC", "2026-11-24T03:00+00:00"),
        ("Europe/Berlin", "2026-11-24T02:00+00:00"),
        ("America/New_York", "2026-11-24T08:00+00:00"),
        ("Asia/Kathmandu", "2026-11-23T21:15+00:00"),
        ("Pacific/Kiritimati", "2026-11-23T13:00+00:00"),
    ],
)
def test_a_night_begins_at_its_hour_of_the_tasks_own_clock(zone: str, begins: str) -> None:
    assert night_of(SchedulePolicy(time_zone=zone), date(2026, 11, 24)).begins == at(begins)


def test_a_skipped_hour_begins_as_much_later_as_the_clocks_skip() -> None:
    spring = night_of(SchedulePolicy(time_zone="Europe/Berlin", hour=2), date(2026, 3, 29))
    assert spring.begins.astimezone(ZoneInfo("Europe/Berlin")).hour == 3


def test_a_repeated_hour_begins_at_the_first_time_and_is_one_night() -> None:
    autumn = SchedulePolicy(time_zone="Europe/Berlin", hour=2)
    assert night_of(autumn, date(2026, 10, 25)).begins == at("2026-10-25T00:00+00:00")
    served = served_by([(at("2026-10-01T00:00+00:00"), autumn)], ticks_from(at("2026-10-24T12:00+00:00"), 1))
    assert [night.date for night in served] == [date(2026, 10, 24), date(2026, 10, 25)]


def test_before_its_hour_no_night_is_under_way_and_the_next_is_told() -> None:
    berlin, moment = SchedulePolicy(time_zone="Europe/Berlin"), at("2026-11-24T01:59+00:00")
    assert night_at(berlin, moment) is None
    assert next_night(berlin, moment) == night_of(berlin, date(2026, 11, 24))
    assert night_at(berlin, at("2026-11-24T02:00+00:00")) == night_of(berlin, date(2026, 11, 24))


def test_a_night_that_begins_late_is_not_lost_at_midnight() -> None:
    late = SchedulePolicy(hour=23)
    assert night_at(late, at("2026-11-24T01:00+00:00")) == night_of(late, date(2026, 11, 23))
    assert night_at(late, at("2026-11-24T05:00+00:00")) is None


def test_a_date_that_a_zone_left_out_is_no_night_of_its_own() -> None:
    samoa = SchedulePolicy(time_zone="Pacific/Apia")
    served = served_by([(at("2011-12-01T00:00+00:00"), samoa)], ticks_from(at("2011-12-29T00:00+00:00"), 4))
    assert date(2011, 12, 30) not in {night.date for night in served}
    assert {date(2011, 12, 29), date(2011, 12, 31), date(2012, 1, 1)} <= {night.date for night in served}


def test_a_daemon_that_was_down_over_the_hour_catches_up_once_on_the_same_day() -> None:
    tokyo = SchedulePolicy(time_zone="Asia/Tokyo")
    up = [tick for tick in ticks_from(at("2026-11-22T00:00+00:00"), 3) if not 17 <= tick.hour < 23]
    served = served_by([(at("2026-11-01T00:00+00:00"), tokyo)], up)
    # 03:00 in Tokyo is 18:00 UTC, when it is always down.
    assert [night.date for night in served] == [date(2026, 11, day) for day in (22, 23, 24, 25)]


def test_what_was_served_west_of_the_date_line_is_not_served_again_an_hour_later_east_of_it() -> None:
    changes = [
        (at("2026-11-01T00:00+00:00"), SchedulePolicy(time_zone="Pacific/Honolulu")),
        (at("2026-11-23T13:20+00:00"), SchedulePolicy(time_zone="Pacific/Auckland")),
    ]
    served = served_by(changes, ticks_from(at("2026-11-23T12:00+00:00"), 1))
    assert [night.begins for night in served if night.begins > at("2026-11-23T00:00+00:00")] == [at("2026-11-23T13:00+00:00")]


@given(zones, hours, moments)
def test_every_local_day_is_served_once_in_every_zone(zone: str, hour: int, start: datetime) -> None:
    schedule = SchedulePolicy(time_zone=zone, hour=hour)
    ticks = ticks_from(start, 4)
    served = served_by([(start - QUARTER, schedule)], ticks)
    assert len({night.date for night in served}) == len(served)
    wanted = [
        night
        for days in range(-1, 6)
        if ticks[0] <= (night := night_of(schedule, ticks[0].date() + timedelta(days=days))).begins <= ticks[-1]
    ]
    assert {night.begins for night in wanted} <= {night.begins for night in served}


@given(zones, hours, moments, st.lists(st.tuples(st.integers(0, 400), st.integers(1, 96)), max_size=4))
def test_whenever_the_daemon_is_down_no_night_is_served_twice_or_before_it_begins(
    zone: str, hour: int, start: datetime, outages: list[tuple[int, int]]
) -> None:
    schedule = SchedulePolicy(time_zone=zone, hour=hour)
    ticks = [
        tick for n, tick in enumerate(ticks_from(start, 4)) if not any(begin <= n < begin + length for begin, length in outages)
    ]
    served = served_by([(start - QUARTER, schedule)], ticks)
    assert [night.date for night in served] == sorted({night.date for night in served})
    # A day in which anybody looked after the hour was served.
    for tick in ticks:
        local = tick.astimezone(ZoneInfo(zone)).date()
        night = night_of(schedule, local)
        if night.begins <= tick:
            assert is_served(night, served)


@given(st.tuples(zones, hours), st.tuples(zones, hours), moments, st.integers(0, 200))
def test_a_task_whose_zone_changed_is_not_served_twice_in_a_night_nor_left_alone_for_long(
    before: tuple[str, int], after: tuple[str, int], start: datetime, change: int
) -> None:
    one, other = (SchedulePolicy(time_zone=zone, hour=hour) for zone, hour in (before, after))
    ticks = ticks_from(start, 5)
    served = served_by([(start - QUARTER, one), (ticks[0] + QUARTER * change, other)], ticks)
    begun = sorted(night.begins for night in served)
    assert all(later - earlier >= LEAST_APART for earlier, later in pairwise(begun))
    assert len({night.date for night in served}) == len(served)
    # A day, what two zones can be apart, half a day in which nights are one, and what the clocks may be changed by.
    assert all(later - earlier <= timedelta(hours=24 + 26 + 12 + 2) for earlier, later in pairwise(begun))


@given(zones, hours, moments)
def test_the_next_night_is_the_one_that_comes(zone: str, hour: int, moment: datetime) -> None:
    schedule = SchedulePolicy(time_zone=zone, hour=hour)
    coming = next_night(schedule, moment)
    assert coming.begins > moment
    assert night_at(schedule, coming.begins) == coming
    before = night_at(schedule, coming.begins - timedelta(seconds=1))
    assert before is None or before.begins <= moment
