"""Whether a round of annotation has anything to ask a judge, read from the store with nothing asked."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from continuum.annotation.backfill import drawn, opinion_of
from continuum.annotation.backlog import draw_of
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.referred import open_referrals
from continuum.policy import TaskPolicy
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store


def is_anything_to_ask(store: "Store", policy: TaskPolicy, *, now: Callable[[], datetime] = utc_now) -> bool:
    """Whether the judges of a task's policy would be asked now: the backlog, the second judge's sample, or due anchors.

    Raises:
        ConfigurationError: the policy names no judge that could be asked.
    """
    from continuum.annotation.anchors import anchors_due
    from continuum.store.windows import Windows  # SQLAlchemy starts here

    opinion, second = opinion_of(policy), policy.judge.second.model
    if any(not has for _, has in drawn(store, opinion, None, None)):
        return True
    if second:
        chosen = draw_of(policy, "second").drawn
        answered = Windows(store.engine).answered(policy.task, judge=second, rubric=rubric_fingerprint(opinion.criteria))
        referred = open_referrals(store, policy.task, policy.curation.min_quality_score)
        if any(chosen(one.id) and not one.judged for one in answered) or any(one.second is None for one in referred):
            return True
    if not store.reviews.ids(policy.task, "anchor"):
        return False
    return anchors_due(store, policy.task, opinion.annotator(store).judge, opinion.rubric, now=now) is not None
