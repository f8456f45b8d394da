"""Each task's own nights under Dagster: whose has begun and was not served yet.

A Dagster schedule has one time zone. These tick every quarter of an hour, the finest step between two zones, and see for each
task whether its night is on. What was served stands in the tags of the runs: a tick that is lost, late or repeated changes
nothing, and Dagster's own run keys hold for one tick of a schedule only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.nights import Night, is_served, next_night, night_at
from continuum_pipelines.claims import PARTITION_TAG
from continuum_pipelines.explaining import LONGEST, Reason, explained

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.tasks import TaskState

EVERY_QUARTER = "*/15 * * * *"
NIGHT_TAG = "continuum/night_"
"""How the tag begins that says which night a run serves; what is done follows."""
WHY_TAG = "continuum/why"
"""Why a run was asked for."""


@dataclass
class Tonight:
    """The tasks as one tick finds them."""

    work: str
    moment: datetime
    waiting: dict[str, tuple["TaskState", Night]] = field(default_factory=dict)
    """The tasks whose night is on and was not served, by name."""
    requests: list[dg.RunRequest] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    """Why there is no run for each of the others."""

    def ask(self, task: str, why: str) -> None:
        """Have a run serve a task's night."""
        _, night = self.waiting[task]
        serves = f"{night.date} {night.begins:%Y-%m-%dT%H:%MZ} {task}"
        # With its partition among its tags a request is whole: Dagster would ask its database for the partition of each.
        tags = {NIGHT_TAG + self.work: serves, WHY_TAG: excerpt(why, LONGEST), PARTITION_TAG: task}
        self.requests.append(dg.RunRequest(run_key=f"{self.work}:{task}:{night.date}", partition_key=task, tags=tags))

    def ask_each(self, why: "Callable[[TaskState], str | Reason]") -> None:
        """Ask for a run of each waiting task for which there is something to do, and leave the others.

        Args:
            why: says of a task why it is to be done, in words, or the reason why not.
        """
        for name, (state, _) in sorted(self.waiting.items()):
            try:
                found = why(state)
            except ConfigurationError as error:
                found = Reason(str(error), "of which it cannot be told")
            if isinstance(found, str):
                self.ask(name, found)
            else:
                self.reasons.append(Reason(f"{name}: {found.words}", found.kind, nearness=2))

    def outcome(self, context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        """What the tick comes to; why there is nothing for the other tasks goes to its log where there are runs."""
        told = explained(self.reasons, nothing="0 tasks have a partition yet")
        if not self.requests:
            return dg.SkipReason(told)
        if self.reasons:
            context.log.info(f"{len(self.requests)} runs; {told}")
        return self.requests


def tonight(context: dg.ScheduleEvaluationContext, store: "Store", work: str) -> Tonight:
    """Whose night is on and was not served by this work yet: few queries, however many tasks there are.

    Args:
        context: of the tick.
        store: where the tasks are.
        work: what is done at night, in one word.
    """
    found = Tonight(work, context.scheduled_execution_time.astimezone(UTC))
    states, unreadable = store.tasks.every()
    with_partition = set(context.instance.get_dynamic_partitions("task"))
    served = served_nights(context.instance, work, found.moment)
    for name, error in unreadable.items():
        found.reasons.append(Reason(f"{name}: {error}", "with a policy that cannot be read", nearness=3))
    for state in states:
        if state.name not in with_partition:
            found.reasons.append(Reason(f"{state.name}: it has no partition yet", "without a partition"))
        elif (night := _open_night(state, found.moment)) is None:
            found.reasons.append(_until(state, found.moment))
        elif is_served(night, served.get(state.name, ())):
            found.reasons.append(Reason(f"{state.name}: its night of {night.date} is served", "served tonight", nearness=1))
        else:
            found.waiting[state.name] = (state, night)
    return found


def served_nights(instance: dg.DagsterInstance, work: str, moment: datetime) -> Mapping[str, list[Night]]:
    """The nights around a moment that runs were asked to serve, by task."""
    found: dict[str, list[Night]] = {}
    for days in range(-2, 3):
        day = (moment + timedelta(days=days)).date()
        for _, values in instance.get_run_tags(tag_keys=[NIGHT_TAG + work], value_prefix=f"{day} "):
            for value in values:
                _, begins, task = value.split(" ")
                found.setdefault(task, []).append(Night(day, datetime.fromisoformat(begins.replace("Z", "+00:00"))))
    return found


def _open_night(state: "TaskState", moment: datetime) -> Night | None:
    night = night_at(state.policy.schedule, moment)
    # Whoever registers a task at noon does not mean the night before; its first turn does all of it.
    return None if night is None or state.created_at > night.begins else night


def _until(state: "TaskState", moment: datetime) -> Reason:
    coming, schedule = next_night(state.policy.schedule, moment), state.policy.schedule
    hours = (coming.begins - moment) / timedelta(hours=1)
    words = f"{state.name}: its night begins in {hours:.1f} h, at {schedule.hour:02}:00 {schedule.time_zone}"
    return Reason(words, "whose night is to come", nearness=1 / (1 + hours))
