"""What people say of an answer: recorded from the application, at once or long after, in any order with the interaction."""

import asyncio
import math
from typing import Any, Literal

from continuum.errors import ConfigurationError
from continuum.records import Feedback, new_id
from continuum.spool.cleaning import clean_text, id_text
from continuum.spool.queue import default_spool
from continuum.store import default_store

MAX_TEXT = 100_000
"""Characters of a comment or a correction."""


async def record(
    interaction_id: str,
    score: float | None = None,
    label: str | None = None,
    comment: str | None = None,
    correction: str | None = None,
    *,
    kind: Literal["explicit", "implicit"] = "explicit",
    confidence: float = 1.0,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Feedback:
    """Record feedback on an interaction; at least one of score, label, comment and correction.

    It is handed to the spool and reaches the store within moments; where the spool is full it is written here and now.

    Args:
        interaction_id: our id or the provider's response id; the interaction itself may arrive later, or never.
        score: 1 (bad) to 5 (good).
        label: a short word, such as "good".
        comment: what the person had to say.
        correction: the answer that should have been given.
        kind: `explicit` for what a person said, `implicit` for what was read from what a person did.
        confidence: 0 to 1, how sure an implicit signal is.
        user_id: who said it.
        idempotency_key: feedback that repeats a key is stored once.

    Raises:
        ConfigurationError: there is no id, nothing is said, or a value is out of its range; the message names it.
        StoreError: the spool is full and the store is down.
    """
    feedback = checked(interaction_id, score, label, comment, correction, kind, confidence, user_id, idempotency_key)
    if not default_spool().offer(feedback, size_of(feedback)):
        await asyncio.to_thread(write, feedback)
    return feedback


def record_sync(
    interaction_id: str,
    score: float | None = None,
    label: str | None = None,
    comment: str | None = None,
    correction: str | None = None,
    *,
    kind: Literal["explicit", "implicit"] = "explicit",
    confidence: float = 1.0,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Feedback:
    """The same as `record`, for code that is not asynchronous."""
    feedback = checked(interaction_id, score, label, comment, correction, kind, confidence, user_id, idempotency_key)
    if not default_spool().offer(feedback, size_of(feedback)):
        write(feedback)
    return feedback


def checked(
    interaction_id: Any,
    score: Any,
    label: Any,
    comment: Any,
    correction: Any,
    kind: Any,
    confidence: Any,
    user_id: Any,
    idempotency_key: Any,
) -> Feedback:
    """The feedback, if every value is in its range."""
    if not isinstance(interaction_id, str) or not interaction_id.strip():
        raise ConfigurationError(
            f"interaction_id is {interaction_id!r}; it must be the id of an interaction, like interaction.id"
        )
    texts = {"label": label, "comment": comment, "correction": correction}
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name} is {value!r}; it must be text")
    if score is not None and not in_range(score, 1, 5):
        raise ConfigurationError(f"score is {score!r}; it must be a number from 1 (bad) to 5 (good)")
    if not in_range(confidence, 0, 1):
        raise ConfigurationError(f"confidence is {confidence!r}; it must be a number from 0 to 1")
    if kind not in {"explicit", "implicit"}:
        raise ConfigurationError(f"kind is {kind!r}; it must be 'explicit' or 'implicit'")
    if score is None and not any(text and text.strip() for text in texts.values()):
        raise ConfigurationError("the feedback says nothing; give at least one of score, label, comment and correction")
    return Feedback(
        id=new_id(),
        interaction_id=id_text(interaction_id) or "",
        kind=kind,
        score=score,
        confidence=confidence,
        user_id=id_text(user_id),
        idempotency_key=id_text(idempotency_key),
        label=kept(label),
        comment=kept(comment),
        correction=kept(correction),
    )


def kept(text: str | None) -> str | None:
    """The text made fit to store; None where it is blank."""
    return clean_text(text, MAX_TEXT) if text and text.strip() else None


def in_range(value: Any, low: float, high: float) -> bool:
    """Whether a value is a finite number within the bounds."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high


def size_of(feedback: Feedback) -> int:
    """About how many characters the feedback holds."""
    return 200 + sum(len(text or "") for text in (feedback.label, feedback.comment, feedback.correction))


def write(feedback: Feedback) -> None:
    """Write it past the spool."""
    default_store().feedback.add([feedback])
