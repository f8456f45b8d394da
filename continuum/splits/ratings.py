"""What people said of an interaction, as one word: how they score it, and the answer they would have wanted.

People's verdicts and a judge's are never averaged; where one number is needed, the people's wins. Where people disagree, each
counts once, by how far it has proved reliable: a flood from one of them decides nothing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.records import Feedback, Interaction, Message

if TYPE_CHECKING:
    from continuum.store.raters import RaterRow

GOOD_SCORE = 4.0
"""From this score up, an answer that a person rated may serve as a reference."""
BAD_SCORE = 2.0
"""Down from this score an answer is bad."""

POPULATION = ""
"""The rater under whose name the store keeps what is known of people it does not know."""
LEAST_RELIABILITY = 0.1
"""A rater below it is left out: what it says is as good as a coin. Its verdicts are not turned round either."""
SUREST = 0.999
"""Nobody is taken to be right more surely."""
DECISIVE_SHARE = 0.6
"""The share of the weight that decides; with less on either side, the score lies midway."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one person said, and what it weighed."""

    rater: str | None
    """None for somebody unnamed."""
    score: float
    weight: float
    """0 where it did not count."""
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class HumanRating:
    """One score and one correction for all that people said; either may be missing."""

    score: float | None = None
    correction: Message | None = None
    opinions: tuple[Opinion, ...] = ()
    """The newest verdict of each person, oldest first: what the score rests on."""


def human_rating(feedback: Sequence[Feedback], raters: "Mapping[str, RaterRow] | None" = None) -> HumanRating:
    """Read one interaction's feedback, oldest first; implicit signals are evidence of another grade and do not count.

    A person's newest verdict counts, and unnamed people are one person, who may change their mind. Of several people the
    score is the middle one by weight. A trusted verdict decides without the others, and so does a trusted correction.

    Args:
        feedback: all that was said of the interaction.
        raters: what is known of the task's raters, from `store.raters.of`; all weigh the same without it.
    """
    explicit = [said for said in feedback if said.kind == "explicit"]
    opinions = tuple(weighed([said for said in explicit if said.score is not None], raters))
    words = chosen_correction([said for said in explicit if said.correction and said.correction.strip()], raters)
    return HumanRating(
        score=middle(opinions),
        correction=Message(role="assistant", content=words) if words else None,
        opinions=opinions,
    )


def goodness(score: float) -> float:
    """A score as a share of good: 1 from `GOOD_SCORE` up, 0 from `BAD_SCORE` down, between them in proportion."""
    return min(1.0, max(0.0, (score - BAD_SCORE) / (GOOD_SCORE - BAD_SCORE)))


def newest_of_each(feedback: Iterable[Feedback]) -> list[Feedback]:
    """The newest of each person, oldest first; people without a name are one. A person speaks as a reviewer apart."""
    newest: dict[tuple[str | None, bool], Feedback] = {}
    for said in feedback:
        who = (said.user_id, said.trusted)
        newest.pop(who, None)
        newest[who] = said
    return list(newest.values())


def weighed(scored: Sequence[Feedback], raters: "Mapping[str, RaterRow] | None") -> Iterable[Opinion]:
    """The opinions with their weights: trusted ones alone if there are any."""
    trusted = any(said.trusted for said in scored)
    for said in newest_of_each(scored):
        score = said.score or 0.0
        weight = float(said.trusted) if trusted else weight_of(score, known(raters, said.user_id))
        yield Opinion(said.user_id, score, weight, said.trusted)


def weight_of(score: float, rater: "RaterRow | None") -> float:
    """The log-odds that the verdict adds: how much likelier this rater says so of an answer that is so."""
    if rater is None:
        return 1.0
    if rater.reliability < LEAST_RELIABILITY:
        return 0.0
    sensitivity, specificity = (min(SUREST, max(1 - SUREST, rate)) for rate in (rater.sensitivity, rater.specificity))
    good = math.log(sensitivity / (1 - specificity))
    bad = math.log(specificity / (1 - sensitivity))
    return goodness(score) * good + (1 - goodness(score)) * bad


def known(raters: "Mapping[str, RaterRow] | None", rater: str | None) -> "RaterRow | None":
    """What is known of a rater, or else of the population; None where raters were never assessed."""
    if not raters:
        return None
    return raters.get(rater or POPULATION) or raters.get(POPULATION)


def middle(opinions: Sequence[Opinion]) -> float | None:
    """The weighted median, and midway where neither side has `DECISIVE_SHARE`; None where no opinion has weight."""
    counted = sorted((opinion.score, opinion.weight) for opinion in opinions if opinion.weight > 0)
    total = math.fsum(weight for _, weight in counted)
    if not counted or not total:
        return None

    def quantile(share: float) -> float:
        below = 0.0
        for score, weight in counted:
            below += weight / total
            if below >= share - 1e-9:
                return score
        return counted[-1][0]

    return (quantile(1 - DECISIVE_SHARE) + quantile(DECISIVE_SHARE)) / 2


def chosen_correction(corrections: Sequence[Feedback], raters: "Mapping[str, RaterRow] | None") -> str | None:
    """The newest trusted one; else the most reliable person's; the newest among equals."""
    best, words = (False, LEAST_RELIABILITY), None
    for said in newest_of_each(corrections):
        rater = known(raters, said.user_id)
        rank = (said.trusted, 1.0 if rater is None or said.trusted else rater.reliability)
        if rank >= best:
            best, words = rank, said.correction
    return words


def reference_answer(interaction: Interaction, rating: HumanRating) -> Message | None:
    """The answer to measure others against: a correction, or an answer that a person called good."""
    if rating.correction is not None:
        return rating.correction
    good = rating.score is not None and rating.score >= GOOD_SCORE
    return interaction.response if good else None
