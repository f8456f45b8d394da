"""Spans of time as people write them: "7d", "12h", "90m"."""

import re
from datetime import UTC, datetime, timedelta

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
