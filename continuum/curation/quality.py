"""How good an answer is, and which answer is meant: people's word first, else the judge's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from continuum.records import Annotation, Feedback, Interaction, Message
from continuum.splits.ratings import human_rating

if TYPE_CHECKING:
    from continuum.store.raters import RaterRow

CORRECTED_SCORE = 5.0


@dataclass(frozen=True, slots=True)
class Rated:
    """An interaction with the answer to learn and its score from 1 to 5."""

    interaction: Interaction
    response: Message
    score: float
    score_source: Literal["human", "judge", "correction"]

    @property
    def preference(self) -> tuple[bool, float, float, str]:
        """Sorts best first: people's word, then the score, then the newest; the id settles the rest."""
        return (
            self.score_source == "judge",
            -self.score,
            -self.interaction.started_at.timestamp(),
            self.interaction.id,
        )


def rate(
    interaction: Interaction,
    feedback: Sequence[Feedback],
    annotation: Annotation | None,
    raters: "Mapping[str, RaterRow] | None" = None,
) -> Rated | None:
    """The interaction with its score; None when nobody scored it or it has no answer to learn."""
    said = human_rating(feedback, raters)
    if said.correction is not None:
        return Rated(interaction, said.correction, CORRECTED_SCORE, "correction")
    if interaction.response is None or not interaction.response.action:
        return None
    if said.score is not None:
        return Rated(interaction, interaction.response, said.score, "human")
    if annotation is not None and annotation.overall is not None:
        return Rated(interaction, interaction.response, annotation.overall, "judge")
    return None


def score_histogram(scores: Sequence[float]) -> Mapping[str, int]:
    """How many scores round to each of 1 to 5."""
    rounded = [min(5, max(1, int(score + 0.5))) for score in scores]
    return {str(level): rounded.count(level) for level in range(1, 6)}
