"""Captures as lines of JSON, which is how they wait."""

from collections.abc import Mapping
from typing import Any

import orjson

from continuum.config import Settings
from continuum.records import Feedback
from continuum.spool.cleaning import MAX_PAYLOAD, cleaned
from continuum.spool.finishing import finish_feedback

MAX_LINE_BYTES = 8 * MAX_PAYLOAD
"""A capture whose JSON is longer is cut down first."""


def line_of(draft: Mapping[str, Any]) -> bytes:
    """A draft as a line of JSON; what JSON cannot hold is replaced."""
    try:
        line = orjson.dumps(draft, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError):
        line = orjson.dumps(cleaned(draft), option=orjson.OPT_APPEND_NEWLINE)
    return line if len(line) <= MAX_LINE_BYTES else orjson.dumps(cleaned(draft), option=orjson.OPT_APPEND_NEWLINE)


def feedback_draft(feedback: Feedback, settings: Settings) -> dict[str, Any]:
    """Feedback as it travels; without personal data where that must not touch the disk."""
    said: dict[str, Any] = {"feedback": feedback.model_dump(mode="json", exclude_none=True)}
    if settings.redact == "off":
        return said
    if settings.redact == "drain":
        return said | {"redact": settings.redactor}
    finished = finish_feedback(said["feedback"] | {"redact": settings.redactor})
    return {
        "feedback": finished.model_dump(mode="json", exclude_none=True, exclude={"user_id"}) | {"user_hash": finished.user_id}
    }
