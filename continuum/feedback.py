"""What people say of an answer: recorded from the application, at once or long after, in any order with the interaction."""

import asyncio
from typing import Literal

from continuum.records import Feedback
from continuum.spool.opinions import checked_feedback
from continuum.spool.queue import default_spool
from continuum.store import default_store


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
    feedback = checked_feedback(interaction_id, score, label, comment, correction, kind, confidence, user_id, idempotency_key)
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
    feedback = checked_feedback(interaction_id, score, label, comment, correction, kind, confidence, user_id, idempotency_key)
    if not default_spool().offer(feedback, size_of(feedback)):
        write(feedback)
    return feedback


def size_of(feedback: Feedback) -> int:
    """About how many characters the feedback holds."""
    return 200 + sum(len(text or "") for text in (feedback.label, feedback.comment, feedback.correction))


def write(feedback: Feedback) -> None:
    """Write it past the spool."""
    default_store().feedback.add([feedback])
