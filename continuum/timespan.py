"""Spans of time as people write them: "7d", "12h", "90m"."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from continuum.errors import ConfigurationError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def parse_span(text: str | timedelta) -> timedelta:
    """Read a span such as "7d" or "1.5h".

    Raises:
        ConfigurationError: the text is not a positive number followed by one of s, m, h, d, w, or is millions of years.
    """
    if isinstance(text, timedelta):
        return text
    match = SPAN.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    if match is None or float(match[1]) <= 0:
        raise ConfigurationError(f"{text!r} is not a span of time; write a number and a unit, like '7d', '12h' or '30m'")
    try:
        return timedelta(**{UNITS[match[2]]: float(match[1])})
    except OverflowError as error:
        raise ConfigurationError(f"{text!r:.40} is too long a span of time; leave it out to go back to the beginning") from error


def rounded(span: timedelta) -> str:
    """A span as people say it, to its two largest units: "2 min 6 s", "1 h 5 min", "3 d"; "0 s" where there is none."""
    left, words = max(0, round(span.total_seconds())), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        words.append(f"{count} {unit}" if count else "")
    first = next((n for n, said in enumerate(words) if said), len(words) - 1)
    return " ".join(said for said in words[first : first + 2] if said) or "0 s"


def utc_now() -> datetime:
    """The present moment, aware, in UTC: the default of every `now` parameter."""
    return datetime.now(UTC)


def moment_of(text: str, now: datetime, zone: tzinfo = UTC) -> datetime:
    """The moment that a person means by "30d" (so long ago), "2026-10-01" (midnight) or "2026-10-01T14:30", in UTC.

    Args:
        text: a span before now, a date, or a date and time with or without an offset from UTC.
        now: the present moment.
        zone: where a date or a time without an offset is meant.

    Raises:
        ConfigurationError: it is none of these, or lies off the calendar.
    """
    said = text.strip()
    if SPAN.fullmatch(said.lower()) and (begin := start_of(said, now)) is not None:
        return begin.astimezone(UTC)
    try:
        read = datetime.fromisoformat(said)
        return (read if read.tzinfo is not None else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{said!r:.60} is no moment; write a span before now like '30d', a date like '2026-10-01', or a date and time like "
            "'2026-10-01T14:30' or '2026-10-01T14:30+02:00'"
        ) from error


def start_of(span: str | timedelta | None, now: datetime) -> datetime | None:
    """The moment `span` before `now`; None, which means from the beginning, when there is no span.

    Raises:
        ConfigurationError: the span cannot be read, or reaches back before the year 1.
    """
    if span is None:
        return None
    try:
        return now - parse_span(span)
    except OverflowError as error:
        raise ConfigurationError(f"{span!r} ago is before the calendar begins; leave the span out instead") from error
