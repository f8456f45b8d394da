"""The frozen anchors in Dagster: which tasks' are due, and the work of judging them again."""

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import dagster as dg

from continuum.annotation.anchors import anchors_due, rejudge_anchors, why_due
from continuum.config import load_settings
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.judge import Judge
from continuum.judging.model_judge import judge_for_task
from continuum.models.budget import Budget
from continuum.policy import TaskPolicy
from continuum.rubric import Criterion, normalised
from continuum_pipelines.explaining import Reason
from continuum_pipelines.progress import log_progress
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.steps import step
from continuum_pipelines.trust import drift_result

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.tasks import TaskState

NO_JUDGE = Reason("no judge is asked by itself", "without a judge that is asked by itself")


def due(store: "Store", policy: TaskPolicy) -> str | None:
    """Why a task's anchors should be judged again; None where they need not be.

    Raises:
        ConfigurationError: the task's judge has neither an endpoint nor a key.
    """
    # Building a judge loads a client: tasks without anchors are told apart before.
    if not store.reviews.ids(policy.task, "anchor"):
        return None
    judge, criteria = judge_of(policy)
    return None if judge is None else anchors_due(store, policy.task, judge, rubric_fingerprint(criteria))


class AnchorsOfAll:
    """Which tasks' anchors are due, read for all of them at once.

    Args:
        store: where the anchors are.
        now: the moment.
    """

    def __init__(self, store: "Store", now: datetime) -> None:
        self._now = now
        self._anchors, self._rounds = store.overview.anchors(), store.overview.anchor_rounds()
        # Judges are few where tasks are many.
        self._served_by = cache(store.overview.served_by)

    def why(self, state: "TaskState") -> str | Reason:
        """Why a task's anchors should be judged again, or the reason why not.

        Raises:
            ConfigurationError: the task's judge has neither an endpoint nor a key.
        """
        policy, anchors = state.policy, self._anchors.get(state.name, 0)
        if not (policy.auto_annotate and policy.judge.model):
            return NO_JUDGE
        if not anchors:
            return Reason("0 anchors are frozen", "without anchors")
        judge, criteria = judge_of(policy)
        if judge is None:
            return NO_JUDGE
        last = self._rounds.get((state.name, judge.name, rubric_fingerprint(criteria)))
        reason = why_due(judge, last, lambda: self._served_by(judge.name).get(state.name), self._now)
        days = (self._now - last.at).days if last else 0
        return reason or Reason(f"its {anchors} anchors were judged {days} days ago", "whose anchors are not due")


def judge_of(policy: TaskPolicy) -> tuple[Judge | None, tuple[Criterion, ...]]:
    """The judge that the policy names, and its rubric."""
    return judge_for_task(policy, load_settings()), normalised(policy.judge.criteria)


@dg.op(pool="judging")
@step
async def rejudged_anchors(context: dg.OpExecutionContext, store: StoreResource) -> None:
    """Judges a task's anchors again where they are due, with the money for probes, and tells the check `judge_drift`."""
    opened, task = store.build(), context.partition_key
    policy = opened.tasks.get(task).policy
    judge, criteria = judge_of(policy)
    reason = due(opened, policy)
    if judge is None or reason is None:
        context.log.info(f"the anchors of {task} need not be judged")
        return
    context.log.info(f"judging the anchors of {task}: {reason}")
    budget = Budget.of_task(opened, policy, "probes")
    done = await rejudge_anchors(opened, task, judge, criteria, budget=budget, on_progress=log_progress(context))
    if not done.scores:
        context.log.warning(f"no anchor of {task} was judged: the budget for probes is spent")
        return
    result = drift_result(done)
    # An evaluation outside the asset's own run: the check is known before the next time the asset is materialized.
    context.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("judged_annotations"),
            check_name=str(result.check_name),
            passed=result.passed,
            metadata=result.metadata or {},
            description=result.description,
            severity=result.severity,
            partition=task,
        )
    )
