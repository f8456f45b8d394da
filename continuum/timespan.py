"""Spans of time as people write them: "7d", "12h", "90m"."""

import re
from datetime import UTC, datetime, timedelta

from continuum.errors import ConfigurationError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def parse_span(text: str | timedelta) -> timedelta:
    """Read a span such as "7d" or "1.5h".

    Raises:
        ConfigurationError: the text is not a positive number followed by one of s, m, h, d, w.
    """
    if isinstance(text, timedelta):
        return text
    match = SPAN.fullmatch(text.strip().lower())
    if match is None or float(match[1]) <= 0:
        raise ConfigurationError(f"{text!r} is not a span of time; write a number and a unit, like '7d', '12h' or '30m'")
    return timedelta(**{UNITS[match[2]]: float(match[1])})


def utc_now() -> datetime:
    """The present moment, aware, in UTC: the default of every `now` parameter."""
    return datetime.now(UTC)


def start_of(span: str | timedelta | None, now: datetime) -> datetime | None:
    """The moment `span` before `now`; None, which means from the beginning, when there is no span."""
    return None if span is None else now - parse_span(span)
