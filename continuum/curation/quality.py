"""How good an answer is, and which answer is meant: people's word first, else the judge's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Literal

from continuum.records import Annotation, Feedback, Interaction, Message
from continuum.similarity.fingerprints import context_fingerprint, fingerprint
from continuum.similarity.normalise import INSTRUCTIONS
from continuum.splits.ratings import human_rating

if TYPE_CHECKING:
    from continuum.store.raters import RaterRow

CORRECTED_SCORE = 5.0
LONGEST_INTENT = 200
"""Characters of an intent's name that are kept."""


@dataclass(frozen=True, slots=True)
class Rated:
    """An interaction with the answer to learn and its score from 1 to 5."""

    interaction: Interaction
    response: Message
    score: float
    score_source: Literal["human", "judge", "correction"]
    generation: int = 0
    """Who wrote `response`. 0: a person, or a model outside this task's line; k: version k of it."""
    intent: str | None = None
    """The application's own name for what was asked."""
    verdict: float | None = None
    """What people say of the answer that was given, whatever `response` is; None where nobody scored it."""

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
    *,
    generation: int = 0,
    intent: str | None = None,
) -> Rated | None:
    """The interaction with its score; None when nobody scored it or it has no answer to learn.

    A correction stands for the answer, also where the call failed and there is none: a person wrote it. Who corrects an answer to
    the very same words approves of it, and the answer stays the model's.

    Args:
        interaction: what was asked and answered.
        feedback: all that was said of it, oldest first.
        annotation: what the selecting judge said.
        raters: what is known of the task's raters.
        generation: who wrote the answer that was given, as `generation_of` says it.
        intent: the application's name for what was asked.
    """
    said = human_rating(feedback, raters)
    answer = given_answer(interaction)
    if said.correction is not None and _is_visible(said.correction.text):
        if answer is not None and answer.action == said.correction.action:
            return Rated(interaction, answer, CORRECTED_SCORE, "correction", generation, intent, said.score)
        return Rated(interaction, said.correction, CORRECTED_SCORE, "correction", 0, intent, said.score)
    if answer is None:
        return None
    if said.score is not None:
        return Rated(interaction, answer, said.score, "human", generation, intent, said.score)
    if annotation is not None and annotation.overall is not None:
        return Rated(interaction, answer, annotation.overall, "judge", generation, intent)
    return None


def settled(rated: Sequence[Rated]) -> list[Rated]:
    """The same, with one score for one answer to one context, however often it was given: the middle of what people said of it.

    Else whoever called it good would be believed, and the copies that others called bad would merely drop out.
    """
    said: dict[str, list[float]] = {}
    for one in rated:
        if one.score_source == "human":
            said.setdefault(_answer_key(one), []).append(one.score)
    return [
        replace(one, score=median(said[_answer_key(one)]))
        if one.score_source == "human" and len(said[_answer_key(one)]) > 1
        else one
        for one in rated
    ]


def is_question(messages: Sequence[Message]) -> bool:
    """Whether something was asked: the last message that is no instruction says or shows something, or is a tool's result."""
    spoken = [message for message in messages if message.role not in INSTRUCTIONS]
    if not spoken:
        return False
    last = spoken[-1]
    shows = isinstance(last.content, list) and any(not isinstance(part.get("text"), str) for part in last.content)
    return last.role == "tool" or shows or _is_visible(last.action)


def given_answer(interaction: Interaction) -> Message | None:
    """What the model answered, where it came to its end and says or does something."""
    if interaction.status != "ok" or interaction.response is None or not interaction.response.action:
        return None
    return interaction.response


def intent_of(interaction: Interaction, tag: str) -> str | None:
    """The name that the application gave to what was asked, on one line; None where it gave none."""
    plain = interaction.tags.get(tag, "").encode("utf-8", "replace").decode("utf-8")
    return " ".join(plain.split())[:LONGEST_INTENT] or None


def score_histogram(scores: Sequence[float]) -> Mapping[str, int]:
    """How many scores round to each of 1 to 5."""
    rounded = [min(5, max(1, int(score + 0.5))) for score in scores]
    return {str(level): rounded.count(level) for level in range(1, 6)}


def _answer_key(one: Rated) -> str:
    return fingerprint(context_fingerprint(one.interaction.messages), one.response.action)


def _is_visible(text: str) -> bool:
    # Zero-width characters alone are no answer, and white space is not all that cannot be seen.
    return any(character.isprintable() and not character.isspace() for character in text)
