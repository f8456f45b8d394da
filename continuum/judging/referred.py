"""What curation would not decide on the first judge's word alone, as far as it is still undecided."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.splits.ratings import human_rating

if TYPE_CHECKING:
    from continuum.store.database import Store


@dataclass(frozen=True)
class OpenReferral:
    """One interaction that waits for a second judge or for people."""

    interaction_id: str
    reason: str
    """Why it was referred, in words."""
    second: float | None
    """What the second judge says, who contradicts the first; None where it has not said anything."""


def second_scores(store: "Store", task: str) -> dict[str, float]:
    """What the newest second judge says, by interaction: of its random sample and of what was referred to it."""
    from continuum.store.scores import Scores

    scores = Scores(store.engine)
    newest = scores.newest_judge(task, "second")
    if newest is None:
        return {}
    found = scores.of(task, judge=newest.judge, rubric=newest.rubric, role="second")
    return {one.interaction_id: one.overall for one in found if one.overall is not None}


def open_referrals(store: "Store", task: str, threshold: float) -> list[OpenReferral]:
    """The referrals of a task that nobody has settled, in the order in which they were referred.

    One is settled when people scored or corrected the answer, when both judges stand on the same side of the threshold, and when
    the interaction is gone.

    Args:
        store: where they are.
        task: whose.
        threshold: the score that decides, 1 to 5.
    """
    referred = [one.review for one in store.reviews.of(task, "referred")]
    there = store.interactions.get_many(review.interaction_id for review in referred)
    said, raters = store.feedback.of(there.values()), store.raters.of(task)
    first, second = store.annotations.of(there), second_scores(store, task)
    found: list[OpenReferral] = []
    for review in referred:
        one = review.interaction_id
        rating = human_rating(said.get(one, []), raters)
        if one not in there or rating.score is not None or rating.correction is not None:
            continue
        overall = first[one].overall if one in first else None
        if not agree(overall, second.get(one), threshold):
            found.append(OpenReferral(one, review.reason, second.get(one)))
    return found


def agree(first: float | None, second: float | None, threshold: float) -> bool:
    """Whether two judges have spoken and stand on the same side of the score that decides."""
    return first is not None and second is not None and (first >= threshold) == (second >= threshold)
