"""How far the judges of a jury agree over a task's backlog, read from what each of them said."""

from typing import TYPE_CHECKING

from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.judging.cached import judgement_kept, judgement_key
from continuum.judging.jury import Jury, jury_agreement
from continuum.judging.model_judge import judge_for_task
from continuum.policy import TaskPolicy
from continuum.rubric import normalised

if TYPE_CHECKING:
    from continuum.judging.judge import Judge
    from continuum.statistics.agreement import Agreement
    from continuum.store.database import Store

CONSIDERED = 2000
"""Judged interactions that are looked at, the newest ones."""


def jury_alpha(store: "Store", policy: TaskPolicy, jury: "Judge | None" = None) -> "dict[str, Agreement]":
    """Krippendorff's alpha (2011, interval distances) of a task's jury, by criterion and under `overall`.

    Args:
        store: where the judgements are.
        policy: the task's; its criteria are the rubric.
        jury: who judged; None for the jury that the policy names.

    Returns:
        Nothing where the task is not judged by a jury, or no two judges scored one answer.
    """
    if jury is None:
        try:
            jury = judge_for_task(policy, load_settings()) if policy.judge.jury else None
        except ConfigurationError:
            return {}  # Without the endpoint's key the jury cannot be named as it was when it judged.
    if not isinstance(jury, Jury):
        return {}
    from continuum.store.scores import Scores

    criteria = normalised(policy.judge.criteria)
    judged = Scores(store.engine).judged_ids(policy.task, valid=True)
    annotations = store.annotations.of(judged)
    newest = sorted(annotations, key=lambda one: (annotations[one].created_at, one), reverse=True)[:CONSIDERED]
    keys = [
        judgement_key(jury.version, one.messages, one.response, criteria)
        for one in store.interactions.get_many(newest).values()
        if one.response is not None
    ]
    return jury_agreement(judgement_kept(said) for said in store.judgements.of(keys).values())
