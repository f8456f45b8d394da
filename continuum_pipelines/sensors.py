"""What starts work: a new task, and enough new data for a known one.

Both decide from the store and from Dagster's own runs, so a tick that is lost or repeated loses and doubles nothing.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterRunStatus as Run

from continuum.config import load_settings
from continuum.excerpts import excerpt
from continuum.provenance.terms import unaccepted
from continuum.spool.draining import collect
from continuum_pipelines.automations import sensor
from continuum_pipelines.claims import (
    BASE_TAG,
    BOOTSTRAP,
    HOLDER,
    PARTITION_TAG,
    TRIGGER_TAG,
    root_of,
)
from continuum_pipelines.explaining import Reason, explained
from continuum_pipelines.jobs import flywheel
from continuum_pipelines.partitions import tasks
from continuum_pipelines.resources.store import StoreResource
from continuum_pipelines.retries import awaiting

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.tasks import TaskState

IN_FLIGHT = [status for status in Run if status not in (Run.SUCCESS, Run.FAILURE, Run.CANCELED)]
MOST_NAMED = 5
BOOTSTRAP_GRACE = timedelta(minutes=5)
"""How long the first turn of a task is left to the bootstrap before the threshold starts it."""


@sensor()
def new_tasks(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult:
    """Brings in what killed processes left in the spool, and adds a partition for each task of the store.

    The assets' conditions then bootstrap it.
    """
    opened = store.build()
    recovered = collect(opened, load_settings().spool_dir)
    if recovered.stored:
        context.log.info(f"{recovered.stored} interactions that killed processes had left in the spool are stored")
    known, names = context.instance.get_dynamic_partitions("task"), opened.tasks.names()
    added = [name for name in names if name not in set(known)]
    ghosts = [name for name in known if name not in set(names)]
    told = f"{len(names)} tasks in the store, {len(names) - len(added)} of them have their partition"
    if added:
        told += f"; {_few(added)} {'gets its' if len(added) == 1 else 'get theirs'} now"
    if ghosts:
        whose = "is a partition" if len(ghosts) == 1 else "are partitions"
        told += f"; {_few(ghosts)} {whose} of no task: make the task, or delete it (docs/dagster.md says how)"
    # A tick without runs counts as skipped; only what it says there tells what it did.
    requests = [tasks.build_add_request(added)] if added else []
    return dg.SensorResult(dynamic_partitions_requests=requests, skip_reason=dg.SkipReason(told))


def _few(names: list[str]) -> str:
    """Names in a line, however many there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(excerpt(name) for name in names[:MOST_NAMED]) + more


bootstrap_new_tasks = dg.AutomationConditionSensorDefinition(
    "bootstrap_new_tasks",
    target=dg.AssetSelection.all(),
    run_tags={TRIGGER_TAG: BOOTSTRAP},
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Materializes all seven assets of a new task once: a backfill when there are several new tasks.",
)


@sensor(job=flywheel)
def enough_new_data(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult:
    """Starts a turn of each task that has `auto_train_when` new interactions since its last one; reopened ones count as new."""
    opened, now = store.build(), datetime.now(UTC)
    opened.tasks.saw_driver("dagster")
    # Runs are read before the high-water marks: one that ends in between has moved its mark, and is not seen as idle too early.
    # The marks are read before what is new is counted: one that moves in between leaves less, and a run that stands down.
    active = active_runs(context.instance)
    busy = {run.tags.get(PARTITION_TAG) for run in active}
    release_dead_claims(context.instance, opened, active)
    states, unreadable = opened.tasks.every()
    new, waiting = opened.overview.new_interactions(), opened.reopenings.counts()
    first_seen: dict[str, str] = json.loads(context.cursor or "{}")
    with_partition = set(context.instance.get_dynamic_partitions("task"))
    # Few tasks are young, and none asks Dagster for itself alone.
    materialized = cache(lambda: context.instance.get_materialized_partitions(dg.AssetKey("raw_interactions")))
    requests: list[dg.RunRequest] = []
    reasons = [Reason(f"{name}: {error}", "with a policy that cannot be read", nearness=9) for name, error in unreadable.items()]
    known = [state for state in states if state.name in with_partition]
    for state in known:
        seen_at = datetime.fromisoformat(first_seen.setdefault(state.name, now.isoformat()))
        decision = decide(
            state,
            new=new.get(state.name, 0),
            reopened=waiting[state.name].interactions if state.name in waiting else 0,
            settled_by=lambda task=state.name: opened.reopenings.newest_settler(task),
            unaccepted=lambda policy=state.policy: unaccepted(opened, policy),
            running=state.name in busy,
            awaits_bootstrap=lambda task=state.name, at=seen_at: now - at < BOOTSTRAP_GRACE and task not in materialized(),
            now=now,
        )
        if isinstance(decision, dg.RunRequest):
            requests.append(decision)
        else:
            reasons.append(decision)
    told = explained(reasons, nothing=f"0 of {len(states)} tasks have a partition yet")
    if requests and reasons:
        context.log.info(f"{len(requests)} turns; {told}")
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(told),
        cursor=json.dumps({name: at for name, at in first_seen.items() if name in with_partition}),
    )


def decide(
    state: "TaskState",
    *,
    new: int,
    running: bool,
    awaits_bootstrap: Callable[[], bool],
    now: datetime,
    reopened: int = 0,
    settled_by: Callable[[], str | None] = lambda: None,
    unaccepted: Callable[[], Mapping[str, int]] = dict,
) -> dg.RunRequest | Reason:
    """A run for the task, or the reason there is none.

    The run key names the mark and how many times the threshold has been passed since: the same tick again starts nothing, and
    after a turn that failed, or that had too few good examples, the next full batch starts another. Interactions that late
    feedback reopened count as new, and learning from them moves no mark: where the threshold is passed with their help, the key
    names what considered such ones last.

    Args:
        state: the task.
        new: its interactions above its mark.
        running: whether a run works on it.
        awaits_bootstrap: tells whether its very first run is still to come; asked only where that decides.
        now: the moment.
        reopened: interactions below the mark that are to be considered again.
        settled_by: the dataset that considered reopened ones last; asked only where that decides.
        unaccepted: other providers' models whose answers wait in the newest training set; asked only where that decides.
    """
    wanted, fresh = state.policy.auto_train_when, new + reopened
    late = f" ({reopened} of them reopened by late feedback)" if reopened else ""
    if wanted is None:
        words = f"{state.name}: {fresh} new interactions{late}, turns only when asked (auto_train_when is not set)"
        return Reason(words, "turning only when asked", nearness=-1)
    numbers, nearness = f"{state.name}: {fresh} of {wanted} new interactions{late}", fresh / wanted
    if running:
        return Reason(f"{numbers}, a run is under way", "with a run under way", nearness)
    if holder := state.turned_by(now):
        return Reason(f"{numbers}, {holder} is turning it", "turned by another driver", nearness)
    if fresh < wanted:
        return Reason(numbers, "below their threshold", nearness)
    if awaits_bootstrap():
        return Reason(f"{numbers}, its first run is about to start", "whose first run is about to start", nearness)
    if providers := unaccepted():
        words = f"{numbers}, waits for provider_terms_accepted: it would learn from answers of {', '.join(providers)}"
        return Reason(words, "waiting for provider_terms_accepted", nearness)
    # A run that stopped at terms nobody had accepted is started again once somebody has.
    unsaid = "" if state.policy.provider_terms_accepted else ":terms-unsaid"
    batch = f"{new // wanted}" if new >= wanted else f"{fresh // wanted}:{settled_by() or 'none'}"
    return dg.RunRequest(
        run_key=f"turn:{state.name}:{state.trained_through}:{wanted}:{batch}{unsaid}",
        partition_key=state.name,
        # With its partition among its tags a request is whole: Dagster would ask its database for the partition of each.
        tags={TRIGGER_TAG: f"{fresh} new interactions{late}", BASE_TAG: str(state.trained_through), PARTITION_TAG: state.name},
    )


def active_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The runs that are on their way or will be repeated.

    Between a crash and its automatic retry a task looks idle: such a failure counts until the retry exists.
    """
    crashed = [record.dagster_run for record in awaiting(instance)]
    return [*instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT)), *crashed]


def release_dead_claims(instance: dg.DagsterInstance, store: "Store", active: Iterable[dg.DagsterRun]) -> None:
    """Give back the claims of Dagster runs that were killed and are not repeated."""
    alive = {root_of(run) for run in active}
    holders = {name: holder for name, holder in store.tasks.holders().items() if holder.startswith(HOLDER)}
    roots = {name: root for name, holder in holders.items() if (root := holder.removeprefix(HOLDER)) not in alive}
    if not roots:
        return
    # A run that this instance never had may be another's, and alive.
    dead = {run.run_id for run in instance.get_runs(dg.RunsFilter(run_ids=sorted(set(roots.values()))))}
    for name, root in roots.items():
        if root in dead:
            store.tasks.release(name, holders[name])
