"""Feedback from outside made into a record: the same checks whether it came through the SDK or through the gateway."""

from typing import Any, NamedTuple

from continuum.errors import ConfigurationError
from continuum.ids import new_id
from continuum.records import Feedback
from continuum.spool.cleaning import clean_text, id_text

MAX_TEXT = 100_000
"""Characters of a comment or a correction."""


class Signal(NamedTuple):
    """What it says of an answer when a person does this."""

    label: str
    """The name it is stored under."""
    score: float | None
    confidence: float
    """How often the answer is then as the score says, before anybody has counted: see docs/feedback.md."""


SIGNALS = {
    "retry": Signal("retry", 2.0, 0.65),
    "regenerate": Signal("regenerate", 2.0, 0.65),
    "copy": Signal("copy", 4.0, 0.6),
    # How good the draft was is told by what was changed in it, once both texts are at hand.
    "edit": Signal("edit", None, 1.0),
    "abandon": Signal("abandonment", 2.0, 0.3),
    "escalate": Signal("escalate", 1.0, 0.8),
}
"""What an application may report that a person did with an answer."""


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
    *,
    trusted: Any = False,
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
    if not isinstance(trusted, bool):
        raise ConfigurationError(f"trusted is {trusted!r}; it must be True or False")
    if trusted and kind == "implicit":
        raise ConfigurationError("implicit feedback cannot be trusted=True; only what a reviewer said can, with kind='explicit'")
    if score is None and not any(text and text.strip() for text in texts.values()):
        raise ConfigurationError("the feedback says nothing; give at least one of score, label, comment and correction")
    return Feedback(
        id=new_id(),
        interaction_id=id_text(interaction_id) or "",
        kind=kind,
        score=score,
        confidence=confidence,
        trusted=trusted,
        user_id=id_text(user_id),
        idempotency_key=id_text(idempotency_key),
        label=kept(label),
        comment=kept(comment),
        correction=kept(correction),
    )


def checked_signal(
    interaction_id: Any,
    signal: Any,
    final_text: Any = None,
    confidence: Any = None,
    user_id: Any = None,
    idempotency_key: Any = None,
) -> Feedback:
    """What a person did with an answer, as implicit feedback.

    Raises:
        ConfigurationError: the signal is none of those known, or the final text is missing or out of place.
    """
    known = SIGNALS.get(signal) if isinstance(signal, str) else None
    if known is None:
        raise ConfigurationError(f"signal is {signal!r}; it must be one of {', '.join(SIGNALS)}")
    if signal == "edit" and (not isinstance(final_text, str) or not final_text.strip()):
        raise ConfigurationError("the signal 'edit' needs final_text, the answer as the person left it")
    if signal != "edit" and final_text is not None:
        raise ConfigurationError(f"final_text goes with the signal 'edit', not with {signal!r}")
    return checked_feedback(
        interaction_id,
        score=known.score,
        label=known.label,
        correction=final_text,
        kind="implicit",
        confidence=known.confidence if confidence is None else confidence,
        user_id=user_id,
        idempotency_key=idempotency_key,
    )


def kept(text: str | None) -> str | None:
    """The text made fit to store; None where it is blank."""
    return clean_text(text, MAX_TEXT) if text and text.strip() else None


def in_range(value: Any, low: float, high: float) -> bool:
    """Whether a value is a number within the bounds; NaN lies within none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
