"""Feedback from outside made into a record: the same checks whether it came through the SDK or through the gateway."""

from typing import Any

from continuum.errors import ConfigurationError
from continuum.records import Feedback, new_id
from continuum.spool.cleaning import clean_text, id_text

MAX_TEXT = 100_000
"""Characters of a comment or a correction."""


def checked_feedback(
    interaction_id: Any,
    score: Any = None,
    label: Any = None,
    comment: Any = None,
    correction: Any = None,
    kind: Any = "explicit",
    confidence: Any = 1.0,
    user_id: Any = None,
    idempotency_key: Any = None,
) -> Feedback:
    """The feedback, made fit to store.

    Raises:
        ConfigurationError: there is no id, nothing is said, or a value is out of its range; the message names it.
    """
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
    if kind not in ("explicit", "implicit"):
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
    """Whether a value is a number within the bounds; NaN lies within none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
