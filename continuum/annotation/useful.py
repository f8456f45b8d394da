"""The most useful queue: which verdicts of people would teach most.

They teach most where the judge and people's taste, as a proxy predicts it, part; where judges disagree; and where the judge
stands so near to the quality that curation asks for that its error decides. What is drawn at random to measure judges is not
touched: labels of this queue train the proxy and are never averaged as if they were random.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from continuum.judging.cached import judgement_kept, judgement_key
from continuum.judging.injection import has_content
from continuum.judging.judge import Judge
from continuum.judging.referred import OpenReferral, open_referrals, second_scores
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.records import Annotation, Interaction, Message, Review
from continuum.rubric import normalised
from continuum.splits.ratings import human_rating
from continuum.splits.sides import Sides, task_sides
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.judging.proxy import ProxyJudge
    from continuum.store.database import Store

CONSIDERED = 5000
"""Judged interactions that are looked at, the newest ones."""
NEAR = 1.0
"""Farther from the threshold than this, nearness counts for nothing."""
NEARNESS_WEIGHT = 0.5
"""What standing exactly at the threshold is worth, in points of disagreement."""
PREDICTED_AT_ONCE = 256


@dataclass(frozen=True)
class Worth:
    """How much a verdict on one interaction would teach, and why."""

    points: float
    reason: str
    """In words, for who asks why they were asked."""


def queue_useful(
    store: "Store",
    task: str,
    count: int,
    *,
    proxy: "ProxyJudge | None" = None,
    judge: Judge | None = None,
    threshold: float | None = None,
    only_referred: bool = False,
    now: Callable[[], datetime] = utc_now,
    on_progress: Progress = silent,
) -> list[Review]:
    """Put the interactions before people whose verdicts would teach most; one of each dialogue.

    First comes what curation referred and neither a second judge nor people have settled.

    Considered is what a judge scored validly and nobody has scored: not the audit stream, not the anchors, not the golden side,
    not what is in the queue already. Dialogues that the queue asks about already come last.

    Args:
        store: where the judged interactions are.
        task: whose.
        count: how many at most.
        proxy: predicts people's taste; None to go without.
        judge: who judged, where it says how sure it is, as a jury does; its doubt counts then. None to go without.
        threshold: the score that decides over something; None for the quality that the task's curation asks for.
        only_referred: nothing but what curation referred.
        now: the clock.
        on_progress: told as the proxy goes through what is considered.

    Returns:
        What joined the queue, the most useful first.

    Raises:
        ConfigurationError: there is no such task.
    """
    policy = store.tasks.get(task).policy
    limit = policy.curation.min_quality_score if threshold is None else threshold
    sides = task_sides(store, policy)
    queued = store.reviews.ids(task, "useful")
    referred = {one.interaction_id: one for one in open_referrals(store, task, limit)}
    judged = _candidates(store, task, sides, queued, referred, only_referred)
    predicted = _predictions(proxy, [interaction for interaction, _ in judged], on_progress)
    seconds = second_scores(store, task)
    doubts = _doubts(store, policy, judge, [interaction for interaction, _ in judged])
    worths = {
        interaction.id: worth_of(
            annotation.overall or 0.0,
            limit,
            predicted=predicted.get(interaction.id),
            second=seconds.get(interaction.id),
            doubt=doubts.get(interaction.id),
        )
        for interaction, annotation in judged
    }
    for one in worths.keys() & referred.keys():
        worths[one] = replace(worths[one], reason=_why_referred(referred[one]))
    asked = {sides.group[one] for one in queued if one in sides.group}
    chosen = _one_of_each(worths, sides, asked, referred)[:count]
    at = now()
    reviews = [
        # The queue is worked through by time: the moments keep the order.
        Review(
            task=task,
            interaction_id=interaction_id,
            queue="useful",
            reason=worths[interaction_id].reason,
            created_at=at + timedelta(microseconds=place),
        )
        for place, interaction_id in enumerate(chosen)
    ]
    store.reviews.add(reviews)
    return reviews


def worth_of(
    score: float,
    threshold: float,
    *,
    predicted: float | None = None,
    second: float | None = None,
    doubt: float | None = None,
) -> Worth:
    """How much a verdict on an answer would teach.

    Args:
        score: what the judge says.
        threshold: the score that decides.
        predicted: what people would say, by the proxy.
        second: what a second judge says.
        doubt: the standard deviation of the judge's score.
    """
    parts: list[tuple[float, str]] = []
    if predicted is not None:
        parts.append((abs(score - predicted), f"judge says {score:.1f}, people's taste predicts {predicted:.1f}"))
    if second is not None:
        parts.append((abs(score - second), f"judge says {score:.1f}, a second judge {second:.1f}"))
    if doubt is not None:
        parts.append((doubt, f"judge says {score:.1f} and is unsure by {doubt:.1f}"))
    nearness = NEARNESS_WEIGHT * max(0.0, 1 - abs(score - threshold) / NEAR)
    parts.append((nearness, f"judge says {score:.1f}, and {threshold:.1f} decides whether it is good enough"))
    telling = max(parts, key=lambda part: part[0])
    return Worth(sum(points for points, _ in parts), telling[1])


def _why_referred(referral: OpenReferral) -> str:
    heard = "" if referral.second is None else f"; a second judge says {referral.second:.1f}"
    return f"referred by curation: {referral.reason}{heard}"


def _candidates(
    store: "Store", task: str, sides: Sides, queued: Collection[str], referred: Collection[str], only_referred: bool
) -> list[tuple[Interaction, Annotation]]:
    """What was judged validly and may be asked about: what was referred, then the newest."""
    from continuum.store.scores import Scores

    barred = set(queued) | store.reviews.ids(task, "audit") | store.reviews.ids(task, "anchor")
    ids = [one for one in Scores(store.engine).judged_ids(task, valid=True) if one not in barred]
    open_ = [one for one in ids if sides.side.get(one) in {"train", "validation"} and (one in referred or not only_referred)]
    annotations = store.annotations.of(open_)
    order = sorted(annotations, key=lambda one: (one in referred, annotations[one].created_at, one), reverse=True)
    newest = order[:CONSIDERED]
    found = store.interactions.get_many(newest)
    said = store.feedback.of(found.values())
    raters = store.raters.of(task)
    return [
        (interaction, annotations[one])
        for one in newest
        if (interaction := found.get(one)) is not None
        and annotations[one].overall is not None
        and human_rating(said.get(one, []), raters).score is None
        and has_content(interaction.response, interaction.messages)
    ]


def _predictions(proxy: "ProxyJudge | None", considered: list[Interaction], on_progress: Progress) -> dict[str, float]:
    if proxy is None:
        return {}
    predicted: dict[str, float] = {}
    for start in range(0, len(considered), PREDICTED_AT_ONCE):
        batch = considered[start : start + PREDICTED_AT_ONCE]
        cases = [(one.messages, one.response or Message(role="assistant")) for one in batch]
        for one, judgement in zip(batch, proxy.predict(cases), strict=True):
            if judgement.overall is not None:
                predicted[one.id] = judgement.overall
        on_progress(start + len(batch), len(considered), f"predicting people's taste on {proxy.task}")
    return predicted


def _doubts(store: "Store", policy: TaskPolicy, judge: Judge | None, considered: Iterable[Interaction]) -> dict[str, float]:
    """How unsure the judge was of each, as its kept judgements say it."""
    if judge is None or "uncertainty" not in judge.capabilities:
        return {}
    criteria = normalised(policy.judge.criteria)
    doubts: dict[str, float] = {}
    for one in considered:
        if one.response is None:
            continue
        kept = store.judgements.get(judgement_key(judge.version, one.messages, one.response, criteria))
        std = judgement_kept(kept).std if kept else None
        if std is not None:
            doubts[one.id] = std
    return doubts


def _one_of_each(worths: dict[str, Worth], sides: Sides, asked: Collection[str], referred: Collection[str]) -> list[str]:
    """The interactions by what they are worth, what was referred before all others, one of each dialogue.

    Of either kind, dialogues that are asked about already come last.
    """

    def rank(one: str) -> tuple[bool, bool, float, str]:
        return one not in referred, sides.group[one] in asked, -worths[one].points, one

    chosen: dict[str, str] = {}
    for interaction_id in sorted(worths, key=rank):
        chosen.setdefault(sides.group[interaction_id], interaction_id)
    return list(chosen.values())
