"""What curation does not decide on one judge's word: it goes to a second judge and to people, never straight into training.

These are the picks of the strategy `uncertainty`, whose scores are the likeliest to be wrong, and the answers that the quality
asked for leaves out, of which those nearest to it may be good after all. A pick is trained on once a second judge or people find
it good too. An answer that the first judge calls poor and the second good stays out: they contradict each other, people decide.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Any

from continuum.curation.quality import Rated
from continuum.judging.referred import agree, open_referrals, second_scores
from continuum.policy import TaskPolicy
from continuum.records import Review
from continuum.splits.ratings import human_rating
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

REFERRED_AT_ONCE = 100
"""Referrals that may wait at a time: more would not be looked at before the next training set is built."""
LOOKED_AT_ONCE = 200
DECIMALS = 4


@dataclass(frozen=True)
class Doubt:
    """An interaction whose score is doubted."""

    interaction_id: str
    score: float
    """The first judge's."""
    reason: str
    """Why, in words, for whoever is asked."""


@dataclass(frozen=True)
class Referrals:
    """What came of referring."""

    added: list[Review]
    """What joined the queue this time, the most doubtful first."""
    open: int
    """Referrals that nobody has settled, with these."""
    left: int
    """Doubtful interactions that have no place in the queue yet."""

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return {"added": len(self.added), "open": self.open, "left": self.left}


@dataclass(frozen=True)
class Confirmed:
    """Which uncertain picks somebody besides the first judge finds good; positions among the picks, in their order."""

    trainable: list[int]
    waiting: list[int]
    for_second: int
    """Of the waiting, those that the second judge has not scored."""
    for_people: int
    """Those that only people can confirm: the second judge contradicts the first, or there is none."""

    def words(self, task: str) -> str:
        """How many wait for whom, and what to do about it."""
        told = f"{len(self.trainable)} of {len(self.trainable) + len(self.waiting)} uncertain picks are confirmed"
        if self.for_second:
            told += f"; {self.for_second} wait for the second judge (continuum annotate {task})"
        if self.for_people:
            told += f"; {self.for_people} wait for people (continuum label {task} --queue useful)"
        return told


def confirmed(store: "Store", policy: TaskPolicy, picks: Sequence[Rated], min_score: float) -> Confirmed:
    """Tell the uncertain picks that may be trained on from those that must wait.

    A pick may be trained on when people's word is its score, or a second judge's score is as good as is asked for, too.

    Args:
        store: where the second judge's scores are.
        policy: the task's; says whether there is a second judge.
        picks: what the strategy `uncertainty` chose.
        min_score: the quality asked for, 1 to 5.
    """
    second = second_scores(store, policy.task)
    trainable: list[int] = []
    waiting: list[int] = []
    for_second = 0
    for position, pick in enumerate(picks):
        score = pick.score if pick.score_source != "judge" else second.get(pick.interaction.id)
        if score is not None and score >= min_score:
            trainable.append(position)
            continue
        waiting.append(position)
        for_second += score is None and policy.judge.second.model is not None
    return Confirmed(trainable, waiting, for_second, len(waiting) - for_second)


def doubts_of(picks: Sequence[Rated], scored: Sequence[Rated], min_score: float) -> list[Doubt]:
    """What is doubted on one judge's word, by turns a pick and an answer below the quality asked for.

    Args:
        picks: uncertain picks that nobody has confirmed, the most uncertain first.
        scored: everything with a score; what the judge scored below `min_score` counts, the nearest to it first.
        min_score: the quality asked for, 1 to 5.
    """
    below = [one for one in scored if one.score_source == "judge" and one.score < min_score]
    below.sort(key=lambda one: (round(min_score - one.score, DECIMALS), one.interaction.id))
    uncertain = [
        Doubt(
            pick.interaction.id,
            pick.score,
            f"the judge says {pick.score:.1f}, which is not what similar questions would lead to expect; "
            f"place {place} among {len(picks)} uncertain picks",
        )
        for place, pick in enumerate(picks, start=1)
        if pick.score_source == "judge"
    ]
    poor = [
        Doubt(one.interaction.id, one.score, f"the judge says {one.score:.1f}, and {min_score:g} is asked for to learn from it")
        for one in below
    ]
    return [doubt for doubt in chain.from_iterable(zip_longest(uncertain, poor)) if doubt is not None]


def refer(
    store: "Store", task: str, doubts: Sequence[Doubt], *, min_score: float, now: Callable[[], datetime] = utc_now
) -> Referrals:
    """Put doubtful interactions before a second judge and people; once each, and never more at a time than are looked at.

    Left out are what people spoke of, the audit stream and the anchors, everything golden, what is suspected of talking to the
    judge, and what both judges agree on already. Referring the same again adds nothing.

    Args:
        store: where the queue is.
        task: whose.
        doubts: the most doubtful first.
        min_score: the quality asked for, 1 to 5.
        now: the clock.

    Raises:
        StoreError: the database failed.
    """
    barred = store.datasets.member_ids(task, "golden")
    barred |= set().union(*(store.reviews.ids(task, queue) for queue in ("referred", "audit", "anchor")))
    candidates: dict[str, Doubt] = {}
    for doubt in doubts:
        if doubt.interaction_id not in barred:
            candidates.setdefault(doubt.interaction_id, doubt)
    waiting = len(open_referrals(store, task, min_score))
    room, at = max(REFERRED_AT_ONCE - waiting, 0), now()
    chosen = islice(_askable(store, task, list(candidates.values()), min_score), room)
    added = [
        # The queue is worked through by time: the moments keep the order.
        Review(
            task=task,
            interaction_id=doubt.interaction_id,
            queue="referred",
            reason=doubt.reason,
            created_at=at + timedelta(microseconds=place),
        )
        for place, doubt in enumerate(chosen)
    ]
    store.reviews.add(added)
    return Referrals(added, waiting + len(added), len(candidates) - len(added))


def _askable(store: "Store", task: str, candidates: Sequence[Doubt], min_score: float) -> Iterator[Doubt]:
    second, raters = second_scores(store, task), store.raters.of(task)
    for start in range(0, len(candidates), LOOKED_AT_ONCE):
        batch = candidates[start : start + LOOKED_AT_ONCE]
        there = store.interactions.get_many(doubt.interaction_id for doubt in batch)
        said, annotations = store.feedback.of(there.values()), store.annotations.of(there)
        for doubt in batch:
            one = doubt.interaction_id
            rating = human_rating(said.get(one, []), raters)
            spoken = rating.score is not None or rating.correction is not None
            suspected = one in annotations and annotations[one].status == "suspected_injection"
            if one in there and not spoken and not suspected and not agree(doubt.score, second.get(one), min_score):
                yield doubt
