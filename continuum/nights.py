"""A task's own nights: when the work that is done once a night begins, in the time zone of the task's policy.

Whoever looks often enough, at any moments, serves each night once: `night_at` says which one is under way, and `is_served`
whether it was served before, also where the task's zone or hour has changed since.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from continuum.policy import SchedulePolicy

LEAST_OPEN = timedelta(hours=6)
"""A night may be served until its local day is over, and for so long at least: one of 23:00 is not lost at midnight."""
LEAST_APART = timedelta(hours=12)
"""Nights that begin closer to each other than this are one: only a change of the policy brings them so close."""


@dataclass(frozen=True)
class Night:
    """One night of a task."""

    date: date
    """The local date on whose clock it begins."""
    begins: datetime
    """The moment, in UTC."""


def night_of(schedule: SchedulePolicy, day: date) -> Night:
    """The night of a local date.

    Where the clocks skip its hour it begins as much later as they skip; where they repeat it, at the first time.
    """
    local = datetime(day.year, day.month, day.day, schedule.hour, tzinfo=ZoneInfo(schedule.time_zone))
    return Night(day, local.astimezone(UTC))


def night_at(schedule: SchedulePolicy, moment: datetime) -> Night | None:
    """The night that is under way at a moment; None where the last one is over and the next has not begun.

    Args:
        schedule: the task's.
        moment: aware.
    """
    today = moment.astimezone(ZoneInfo(schedule.time_zone)).date()
    for back in range(3):
        night = night_of(schedule, today - timedelta(days=back))
        if night.begins <= moment:
            return night if not back or moment - night.begins < LEAST_OPEN else None
    return None


def next_night(schedule: SchedulePolicy, moment: datetime) -> Night:
    """The first night that begins after a moment."""
    today = moment.astimezone(ZoneInfo(schedule.time_zone)).date()
    # A date that a zone has left out begins with the one after it: the later one is that night's name.
    ahead = [night_of(schedule, today + timedelta(days=days)) for days in range(-1, 3)]
    first = min(night.begins for night in ahead if night.begins > moment)
    return max((night for night in ahead if night.begins == first), key=lambda night: night.date)


def is_served(night: Night, served: Iterable[Night]) -> bool:
    """Whether a night was served, given those that were: by its date or a later one, or by one that began close to it."""
    return any(one.date >= night.date or abs(one.begins - night.begins) < LEAST_APART for one in served)
