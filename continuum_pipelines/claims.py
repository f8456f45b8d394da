"""Who turns a task's wheel, and how far it has been turned.

Drivers agree through two compare-and-sets in the store: the claim, which one driver holds while it trains, and the
high-water mark, the sequence number through which the task has learned. A run that the threshold sensor starts pins the mark
it was decided on in a tag.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from continuum.errors import ConfigurationError
from continuum.flywheel import claimed

if TYPE_CHECKING:
    from continuum.store.database import Store

PARTITION_TAG = "dagster/partition"
BASE_TAG = "continuum/base"
"""The high-water mark on which a run was decided."""
TRIGGER_TAG = "continuum/trigger"
BOOTSTRAP = "new task"
WILL_RETRY_TAG, RETRIED_BY_TAG = "dagster/will_retry", "dagster/auto_retry_run_id"
"""Dagster's own: whether a failed run will be repeated, and by which."""
HOLDER = "dagster run "
"""How the claim of a Dagster run begins; its root run's id follows, so that an automatic retry holds the same claim."""


def root_of(run: dg.DagsterRun) -> str:
    """The id of the run that this one repeats, or its own."""
    return run.root_run_id or run.run_id


@contextmanager
def training_claim(context: dg.AssetExecutionContext, store: "Store") -> Iterator[str | None]:
    """Hold the task's claim; yields None, or who holds it instead when another driver is turning the task."""
    task = context.partition_key
    holder = store.tasks.get(task).claimed_by
    if holder is not None and is_over(context.instance, holder):
        store.tasks.release(task, holder)
    claim = claimed(store, task, HOLDER + root_of(context.run))
    try:
        claim.__enter__()
    except ConfigurationError as held:
        yield str(held)
        return
    try:
        yield None
    finally:
        claim.__exit__(None, None, None)


def is_over(instance: dg.DagsterInstance, holder: str) -> bool:
    """Whether the holder of a claim is a run of this instance that has ended, was killed perhaps, and is not repeated."""
    root = holder.removeprefix(HOLDER)
    if not holder.startswith(HOLDER) or (run := instance.get_run_by_id(root)) is None:
        return False
    group = instance.get_run_group(root)
    return all(one.is_finished and not will_be_repeated(one) for one in (group[1] if group else [run]))


def will_be_repeated(run: dg.DagsterRun) -> bool:
    """Whether a run has failed and its automatic retry is still to come; so it is while nobody has said that it is not."""
    decided = run.tags.get(WILL_RETRY_TAG) == "false" or RETRIED_BY_TAG in run.tags
    return run.status is dg.DagsterRunStatus.FAILURE and not decided


def stand_down(context: dg.AssetExecutionContext, store: "Store") -> str | None:
    """Why this run must not make a new model; None when it may.

    A run of the threshold sensor stands down when another turn has moved the mark it was decided on. The run that bootstraps
    a new task is nobody's request: it shows the task in the graph, and the policy says from how many interactions on the task
    is to learn.
    """
    state = store.tasks.get(context.partition_key)
    pinned = context.run.tags.get(BASE_TAG)
    if pinned is not None and state.trained_through > int(pinned):
        return "superseded: another turn has learned what this one was started for"
    if context.run.tags.get(TRIGGER_TAG) != BOOTSTRAP:
        return None
    wanted = state.policy.auto_train_when
    if wanted is None:
        return "waiting to be asked (auto_train_when is not set)"
    new = store.interactions.count(state.name, after=state.trained_through) + store.reopenings.count(state.name)
    return None if new >= wanted else f"waiting ({new} of {wanted})"
