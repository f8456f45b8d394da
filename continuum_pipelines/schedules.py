"""What runs by the clock: once in each night of a task, in the task's own time zone."""

from typing import TYPE_CHECKING

import dagster as dg

from continuum_pipelines.anchors import AnchorsOfAll
from continuum_pipelines.automations import nightly
from continuum_pipelines.curves import CurvesOfAll
from continuum_pipelines.explaining import Reason
from continuum_pipelines.jobs import anchors, annotation, curve, retention
from continuum_pipelines.nights import tonight
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.retention import RetentionOfAll

if TYPE_CHECKING:
    from continuum.store.tasks import TaskState

Asked = list[dg.RunRequest] | dg.SkipReason


@nightly(annotation)
def nightly_annotation(context: dg.ScheduleEvaluationContext, store: StoreResource) -> Asked:
    """Judges the day's interactions of each task that has a judge and wants to be annotated by itself, in the task's night."""
    found = tonight(context, store.build(), "annotate")
    found.ask_each(_why_annotate)
    return found.outcome(context)


@nightly(anchors)
def anchors_when_due(context: dg.ScheduleEvaluationContext, store: StoreResource) -> Asked:
    """Has the anchors of a task judged again once a week, and the night after its judge or rubric changed."""
    opened = store.build()
    found = tonight(context, opened, "anchors")
    found.ask_each(AnchorsOfAll(opened, found.moment).why)
    return found.outcome(context)


@nightly(retention)
def nightly_retention(context: dg.ScheduleEvaluationContext, store: StoreResource) -> Asked:
    """Deletes what is older than a task keeps it, and takes what was erased out of its files, also where nothing is captured."""
    opened = store.build()
    found = tonight(context, opened, "retention")
    found.ask_each(RetentionOfAll(opened, found.moment).why)
    return found.outcome(context)


@nightly(curve)
def nightly_learning_curve(context: dg.ScheduleEvaluationContext, store: StoreResource) -> Asked:
    """Draws the learning curve of each task anew whose models or golden dataset are others than those it was drawn of."""
    opened = store.build()
    found = tonight(context, opened, "curve")
    found.ask_each(CurvesOfAll(opened, context.instance).why)
    return found.outcome(context)


def _why_annotate(state: "TaskState") -> str | Reason:
    if not state.policy.judge.model:
        return Reason("it has no judge", "without a judge")
    if not state.policy.auto_annotate:
        return Reason("auto_annotate is off", "with auto_annotate off")
    return "its day is to be judged"
