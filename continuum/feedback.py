"""What people say of an answer: recorded from the application, at once or long after, in any order with the interaction."""

import asyncio
from typing import Literal

from continuum.config import load_settings
from continuum.records import Feedback
from continuum.spool.finishing import finish_feedback
from continuum.spool.opinions import checked_feedback, checked_signal
from continuum.spool.spool import default_spool
from continuum.store import default_store

SignalName = Literal["retry", "regenerate", "copy", "edit", "abandon", "escalate"]


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
    trusted: bool = False,
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
        user_id: who said it; stored as a keyed hash. Verdicts of one user on one answer count once, the newest.
        idempotency_key: feedback that repeats a key is stored once.
        trusted: a reviewer of yours said it; it decides alone, and shows how far the other raters can be trusted.

    Raises:
        ConfigurationError: there is no id, nothing is said, or a value is out of its range; the message names it.
        StoreError: the spool is full and the store is down.
    """
    return await _hand_over(
        checked_feedback(
            *(interaction_id, score, label, comment, correction, kind, confidence, user_id, idempotency_key), trusted=trusted
        )
    )


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
    trusted: bool = False,
) -> Feedback:
    """The same as `record`, for code that is not asynchronous."""
    return _hand_over_now(
        checked_feedback(
            *(interaction_id, score, label, comment, correction, kind, confidence, user_id, idempotency_key), trusted=trusted
        )
    )


async def implicit(
    interaction_id: str,
    signal: SignalName,
    *,
    final_text: str | None = None,
    confidence: float | None = None,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Feedback:
    """Record what a person did with an answer, which says something of it without a word.

    Args:
        interaction_id: our id or the provider's response id.
        signal: `retry` asked the same again, `regenerate` asked for another answer, `copy` copied it, `edit` changed the draft
            and used it, `abandon` left, `escalate` went to a person instead.
        final_text: for `edit`, the text as it was used; how much it differs from the answer becomes the score.
        confidence: 0 to 1, how sure the signal is; each signal has a default, see docs/feedback.md.
        user_id: who did it; stored as a keyed hash.
        idempotency_key: feedback that repeats a key is stored once.

    Raises:
        ConfigurationError: the signal is none of these, or `final_text` is missing or out of place.
        StoreError: the spool is full and the store is down.
    """
    return await _hand_over(checked_signal(interaction_id, signal, final_text, confidence, user_id, idempotency_key))


def implicit_sync(
    interaction_id: str,
    signal: SignalName,
    *,
    final_text: str | None = None,
    confidence: float | None = None,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Feedback:
    """The same as `implicit`, for code that is not asynchronous."""
    return _hand_over_now(checked_signal(interaction_id, signal, final_text, confidence, user_id, idempotency_key))


async def _hand_over(feedback: Feedback) -> Feedback:
    if not default_spool().offer(feedback):
        await asyncio.to_thread(_write, feedback)
    return feedback


def _hand_over_now(feedback: Feedback) -> Feedback:
    if not default_spool().offer(feedback):
        _write(feedback)
    return feedback


def _write(feedback: Feedback) -> None:
    """Write it past the spool, finished as the spool would have."""
    settings = load_settings()
    draft = feedback.model_dump(mode="json", exclude_none=True)
    if settings.redact != "off":
        draft["redact"] = settings.redactor
    default_store().feedback.add([finish_feedback(draft)])
