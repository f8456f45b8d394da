"""What starts work: a new task, and enough new data for a known one.

Both decide from the store and from Dagster's own runs, so a tick that is lost or repeated loses and doubles nothing.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterRunStatus as Run

from continuum.config import load_settings
from continuum.spool.draining import collect
from continuum_pipelines.claims import BASE_TAG, BOOTSTRAP, HOLDER, PARTITION_TAG, TRIGGER_TAG, root_of
from continuum_pipelines.jobs import flywheel
from continuum_pipelines.partitions import tasks
from continuum_pipelines.resources.store import StoreResource

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.tasks import TaskState

IN_FLIGHT = [status for status in Run if status not in (Run.SUCCESS, Run.FAILURE, Run.CANCELED)]
BOOTSTRAP_GRACE = timedelta(minutes=5)
"""How long the first turn of a task is left to the bootstrap before the threshold starts it."""


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def new_tasks(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult | dg.SkipReason:
    """Brings in what killed processes left in the spool, and adds a partition for each task of the store.

    The assets' conditions then bootstrap it.
    """
    opened = store.build()
    recovered = collect(opened, load_settings().spool_dir)
    if recovered.stored:
        context.log.info(f"{recovered.stored} interactions that killed processes had left in the spool are stored")
    known = set(context.instance.get_dynamic_partitions("task"))
    names = opened.tasks.names()
    added = [name for name in names if name not in known]
    if not added:
        return dg.SkipReason(f"{len(names)} tasks in the store, {len(known)} of them have their partition")
    return dg.SensorResult(dynamic_partitions_requests=[tasks.build_add_request(added)])


bootstrap_new_tasks = dg.AutomationConditionSensorDefinition(
    "bootstrap_new_tasks",
    target=dg.AssetSelection.all(),
    run_tags={TRIGGER_TAG: BOOTSTRAP},
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Materializes all seven assets of a new task once: a backfill when there are several new tasks.",
)


@dg.sensor(job=flywheel, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def enough_new_data(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult:
    """Starts a turn of each task that has `auto_train_when` new interactions since its last one."""
    opened, now = store.build(), datetime.now(UTC)
    opened.tasks.saw_driver("dagster")
    # Runs are read before the high-water mark: one that ends in between has moved the mark, and is not seen as idle too early.
    active = active_runs(context.instance)
    first_seen: dict[str, str] = json.loads(context.cursor or "{}")
    requests, reasons = [], []
    for task in sorted(set(context.instance.get_dynamic_partitions("task")) & set(opened.tasks.names())):
        state = opened.tasks.get(task)
        release_dead_claim(context.instance, opened, state, active)
        first_seen.setdefault(task, now.isoformat())
        awaited = awaits_bootstrap(context.instance, task) and now - datetime.fromisoformat(first_seen[task]) < BOOTSTRAP_GRACE
        decision = decide(
            opened.tasks.get(task),
            new=opened.interactions.count(task, after=state.trained_through),
            running=any(run.tags.get(PARTITION_TAG) == task for run in active),
            awaits_bootstrap=awaited,
            now=now,
        )
        (requests if isinstance(decision, dg.RunRequest) else reasons).append(decision)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason("; ".join(reasons) or "no task has a partition yet"),
        cursor=json.dumps(first_seen),
    )


def decide(state: "TaskState", *, new: int, running: bool, awaits_bootstrap: bool, now: datetime) -> dg.RunRequest | str:
    """A run for the task, or the reason there is none.

    The run key names the mark and how many times the threshold has been passed since: the same tick again starts nothing, and
    after a turn that failed, or that had too few good examples, the next full batch starts another.
    """
    wanted = state.policy.auto_train_when
    if wanted is None:
        return f"{state.name}: turns only when asked (auto_train_when is not set)"
    numbers = f"{state.name}: {new} of {wanted} new interactions"
    if running:
        return f"{numbers}, a run is under way"
    if state.claimed_by and state.claimed_until and state.claimed_until > now:
        return f"{numbers}, {state.claimed_by} is turning it"
    if new < wanted:
        return numbers
    if awaits_bootstrap:
        return f"{numbers}, its first run is about to start"
    return dg.RunRequest(
        run_key=f"turn:{state.name}:{state.trained_through}:{wanted}:{new // wanted}",
        partition_key=state.name,
        tags={TRIGGER_TAG: f"{new} new interactions", BASE_TAG: str(state.trained_through)},
    )


def active_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The runs that are on their way or will be repeated.

    Between a crash and its automatic retry a task looks idle: such a failure counts until the retry exists.
    """
    repeated = dg.RunsFilter(statuses=[Run.FAILURE], tags={"dagster/will_retry": "true"})
    crashed = [run for run in instance.get_runs(repeated, limit=100) if "dagster/auto_retry_run_id" not in run.tags]
    return [*instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT)), *crashed]


def awaits_bootstrap(instance: dg.DagsterInstance, task: str) -> bool:
    """Has nothing of the task ever been materialized?"""
    wanted = dg.AssetRecordsFilter(dg.AssetKey("raw_interactions"), asset_partitions=[task])
    return not instance.fetch_materializations(wanted, limit=1).records


def release_dead_claim(instance: dg.DagsterInstance, store: "Store", state: "TaskState", active: Iterable[dg.DagsterRun]) -> None:
    """Give back the claim of a Dagster run that was killed and is not repeated."""
    holder = state.claimed_by or ""
    root = holder.removeprefix(HOLDER)
    if holder.startswith(HOLDER) and root not in {root_of(run) for run in active} and instance.get_run_by_id(root) is not None:
        store.tasks.release(state.name, holder)
