"""Where a task stands, read from the store: what came in, what was made of it, who serves, and what is missing."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from continuum.needs import Need, needs_of
from continuum.records import Record
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.tasks import TaskState


class Status(Record):
    """Where a task stands."""

    task: str
    interactions: int
    new_interactions: int
    """Captured since the last turn, and those from before that late feedback reopened."""
    reopened: int = 0
    """How many of them are reopened."""
    reopened_verdicts: int = 0
    """Verdicts that were given on golden items of which people now say otherwise."""
    train_when: int | None
    judged: int = 0
    """Annotations by judges."""
    dataset: str | None = None
    """The newest training set."""
    checkpoint: str | None = None
    """The newest model that was trained."""
    verdict: str | None = None
    """What the guard said of it; None before it has spoken."""
    champion: str
    """Which model answers the task's traffic, or most of it."""
    canary: str | None = None
    canary_traffic: float = 0.0
    driver: str | None = None
    driver_seen_at: datetime | None = None
    turned_by: str | None = None
    """Who is turning the wheel at this moment."""
    needs: tuple[Need, ...] = ()
    """What is missing for the wheel to turn by itself, each with its cure."""
    outlook: str
    """How near the next turn is, and who would turn it."""

    @property
    def lacks(self) -> tuple[Need, ...]:
        """What would stop the next turn."""
        return tuple(one for one in self.needs if one.of != "driver")

    @property
    def advice(self) -> str:
        """What happens next, and what is missing for it to happen."""
        stops = "; ".join(one.words for one in self.lacks)
        return f"{self.outlook}; it would stop: {stops}" if stops else self.outlook

    def __str__(self) -> str:
        """In words, a line for what there is and one for each thing that is missing."""
        canary = f", canary {self.canary} at {self.canary_traffic:.0%}" if self.canary else ""
        lines = [f"{self.task}: {self.interactions} interactions, answered by {self.champion}{canary}; {self.outlook}"]
        lines += [f"  a turn would stop: {need.words}" for need in self.lacks]
        if self.reopened_verdicts:
            lines.append(f"  {self.reopened_verdicts} verdicts were given on golden items of which people now say otherwise")
        return "\n".join(lines)


def status_of(store: "Store", task: str, *, now: Callable[[], datetime] = utc_now) -> Status:
    """Where a task stands, read from the store.

    Raises:
        ConfigurationError: there is no such task.
    """
    state, at = store.tasks.get(task), now()
    waiting = store.reopenings.counts(task).get(task)
    reopened = waiting.interactions if waiting else 0
    new = store.interactions.count(task, after=state.trained_through) + reopened
    champion = store.deployments.champion(task)
    canary = next((d for d in store.deployments.serving(task) if champion is None or d.id != champion.id), None)
    dataset = store.datasets.latest(task)
    checkpoint = next(reversed(store.checkpoints.of(task)), None)
    verdict = store.verdicts.latest(checkpoint.id) if checkpoint else None
    needs = needs_of(store, state, now=lambda: at)
    return Status(
        task=task,
        interactions=store.interactions.count(task),
        new_interactions=new,
        reopened=reopened,
        reopened_verdicts=waiting.verdicts if waiting else 0,
        train_when=state.policy.auto_train_when,
        judged=store.annotations.count(task),
        dataset=dataset.name if dataset else None,
        checkpoint=checkpoint.name if checkpoint else None,
        verdict=verdict.status.value if verdict else None,
        champion=champion.model if champion else "production",
        canary=canary.model if canary else None,
        canary_traffic=canary.traffic if canary else 0.0,
        driver=state.driver,
        driver_seen_at=state.driver_seen_at,
        turned_by=state.turned_by(at),
        needs=needs,
        outlook=_outlook(state, new, reopened, needs, at),
    )


def _outlook(state: "TaskState", new: int, reopened: int, needs: tuple[Need, ...], at: datetime) -> str:
    wanted = state.policy.auto_train_when
    late = f"{reopened} reopened by late feedback" if reopened else ""
    if wanted is None:
        return "turns only when asked: continuum turn TASK, or set auto_train_when" + (f"; {late}" if late else "")
    progress = f"{new} of {wanted} new interactions" + (f" ({late})" if late else "")
    if holder := state.turned_by(at):
        return f"{progress}; {holder} is turning it"
    driver = next((one.words for one in needs if one.of == "driver"), None)
    return f"{progress}; {driver or ('a turn starts by itself' if new < wanted else 'a turn is due')}"
