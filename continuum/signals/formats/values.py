"""Values of records written by others, checked where they are read; no message shows one."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from continuum.spool.cleaning import MAX_ID, clean_text
from continuum.spool.forms import count

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TAG = 500
MAX_LABEL = 200

JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def an_object(value: Any, what: str) -> dict[str, Any]:
    """The value, which must be an object."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {JSON_NAMES.get(type(value), 'something')}, not an object")
    return value


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where the value is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """Text; None for anything else and for the empty text."""
    return value if isinstance(value, str) and value else None


def id_in(value: Any) -> str | None:
    """An id that is text or a whole number, as text every store can index."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return clean_text(value, MAX_ID) if isinstance(value, str) and value else None


def required_id(value: Any, name: str) -> str:
    """An id that must be there."""
    found = id_in(value)
    if found is None:
        raise ValueError(f"{name}: it is missing, or no text")
    return found


def number(value: Any) -> float | None:
    """A finite number, also where it is written as text; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def tokens(*values: Any) -> int | None:
    """The first of these that is a number of tokens."""
    for value in values:
        found = number(value)
        if found is not None and found.is_integer() and count(int(found)) is not None:
            return int(found)
    return None


def first(mapping: Any, *names: str) -> Any:
    """The first of these members that is there and not null."""
    if isinstance(mapping, Mapping):
        for name in names:
            if mapping.get(name) is not None:
                return mapping[name]
    return None


def from_iso(value: Any, name: str) -> datetime | None:
    """A moment written like 2026-03-01T12:00:00Z, or with a blank for the T; without a zone it is UTC."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: it is not a time like 2026-03-01T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def from_seconds(value: Any, name: str) -> datetime | None:
    """A moment in seconds since 1970."""
    if value is None:
        return None
    seconds = number(value)
    try:
        if seconds is None:
            raise ValueError
        return EPOCH + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise ValueError(f"{name}: it is not a time in seconds since 1970") from None


def from_nanoseconds(value: Any, name: str) -> datetime | None:
    """A moment in nanoseconds since 1970, also where it is written as text; 0 is no moment."""
    nanoseconds = whole_number(value, name)
    try:
        return EPOCH + timedelta(microseconds=nanoseconds // 1000) if nanoseconds else None
    except OverflowError:
        raise ValueError(f"{name}: it is not a time in nanoseconds since 1970") from None


def whole_number(value: Any, name: str) -> int | None:
    """A whole number, also where it is written as text."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{name}: it is not a whole number")


def milliseconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """How long something took; None where one end is not known or the clock went backwards."""
    if start is None or end is None or end < start:
        return None
    return (end - start) / timedelta(milliseconds=1)


def json_in(value: Any) -> Any:
    """What JSON text holds; the value itself where it is no such text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def as_text(value: Any) -> str:
    """Any value as text: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def tag_values(found: Mapping[Any, Any]) -> dict[str, str]:
    """Tags: what is not null, as short text."""
    return {
        clean_text(str(name), MAX_TAG): clean_text(as_text(value), MAX_TAG) for name, value in found.items() if value is not None
    }


def labelled(name: Any, value: Any) -> str:
    """A label that keeps what a score was called and what it said."""
    shown = int(value) if isinstance(value, float) and value.is_integer() else value
    return clean_text(f"{text(name) or 'score'}: {as_text(shown)}", MAX_LABEL)


def known(row: dict[str, Any]) -> dict[str, Any]:
    """The members that are not None."""
    return {name: value for name, value in row.items() if value is not None}
