"""What people said of an interaction, as one word: their newest score, and the answer they would have wanted.

People's verdicts and a judge's are never averaged; where one number is needed, the people's wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from continuum.records import Feedback, Interaction, Message

GOOD_SCORE = 4.0
"""From this score up, an answer that a person rated may serve as a reference."""


@dataclass(frozen=True, slots=True)
class HumanRating:
    """The newest explicit score and the newest correction; either may be missing."""

    score: float | None = None
    correction: Message | None = None


def human_rating(feedback: Sequence[Feedback]) -> HumanRating:
    """Read one interaction's feedback, oldest first; implicit signals are evidence of another grade and do not count."""
    explicit = [given for given in feedback if given.kind == "explicit"]
    score = next((given.score for given in reversed(explicit) if given.score is not None), None)
    words = next((given.correction for given in reversed(explicit) if given.correction and given.correction.strip()), None)
    return HumanRating(score=score, correction=Message(role="assistant", content=words) if words else None)


def reference_answer(interaction: Interaction, rating: HumanRating) -> Message | None:
    """The answer to measure others against: a correction, or an answer that a person called good."""
    if rating.correction is not None:
        return rating.correction
    good = rating.score is not None and rating.score >= GOOD_SCORE
    return interaction.response if good else None
