"""Deployments: the route table that the gateway reads, and the log of every change to it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, desc, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from continuum.serving_records import Change, DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.rows import Rows, from_row, in_batches, insert_new, to_row
from continuum.store.tables import deployment_events, deployments

SERVING = (DeploymentState.CANARY, DeploymentState.PAUSED, DeploymentState.PROMOTING, DeploymentState.LIVE)
"""States whose rows make the routes."""
UNSETTLED = (DeploymentState.PENDING, DeploymentState.WARMING, DeploymentState.ROLLING_BACK)
"""States that a controller still has to lead on, though they route nothing."""


class _Changed(Exception):
    """A row is no longer what was decided on."""


class Deployments(Rows):
    """Deployments of all tasks; each change is a compare-and-set with its event in the same transaction."""

    def add(self, deployment: DeploymentRecord, event: DeploymentEvent) -> None:
        """Store a new deployment and the event that began it."""
        with self.engine.begin() as connection:
            if insert_new(connection, deployments, [to_row(deployment)]):
                connection.execute(insert(deployment_events).values(to_row(event) | {"sequence": 0}))

    def get(self, deployment_id: str) -> DeploymentRecord | None:
        """A deployment by id."""
        found = self._all(deployments.c.id == deployment_id)
        return found[0] if found else None

    def get_many(self, ids: Iterable[str]) -> dict[str, DeploymentRecord]:
        """The deployments among these ids that are in the store, by id."""
        return {found.id: found for batch in in_batches(ids) for found in self._all(deployments.c.id.in_(batch))}

    def of(self, task: str) -> list[DeploymentRecord]:
        """A task's deployments, newest first."""
        return self._all(deployments.c.task == task)

    def serving(self, task: str | None = None) -> list[DeploymentRecord]:
        """The deployments that may receive traffic, newest first: of one task, or of all."""
        condition = deployments.c.state.in_([state.value for state in SERVING])
        return self._all(condition if task is None else condition & (deployments.c.task == task))

    def versions(self) -> list[tuple[str, int]]:
        """Id and version of the deployments that may receive traffic: what a gateway asks for to see that nothing has changed."""
        serves = deployments.c.state.in_([state.value for state in SERVING])
        with self.engine.connect() as connection:
            query = select(deployments.c.id, deployments.c.version).where(serves).order_by(deployments.c.id)
            return [(row.id, row.version) for row in connection.execute(query)]

    def unsettled(self) -> list[DeploymentRecord]:
        """The deployments of all tasks that a controller has to lead on before they route traffic or are done, newest first."""
        return self._all(deployments.c.state.in_([state.value for state in UNSETTLED]))

    def champion(self, task: str) -> DeploymentRecord | None:
        """The deployment that took over a task's traffic whole, most lately; None while production answers."""
        found = self._all((deployments.c.task == task) & (deployments.c.state == DeploymentState.LIVE.value))
        return found[0] if found else None

    def change(self, seen: DeploymentRecord, event: DeploymentEvent, **values: Any) -> DeploymentRecord | None:
        """Change a deployment decided on as `seen`; None when it has changed since, and nothing is written.

        Args:
            seen: the row the decision was made on.
            event: who changes it and why; it gets the next sequence number.
            values: columns to set, such as `state` or `traffic`.
        """
        changed = self.change_all([Change(seen, event, values)])
        return None if changed is None else changed[0]

    def change_all(self, changes: Sequence[Change]) -> list[DeploymentRecord] | None:
        """Several changes, in this order and in one transaction: all of them, or none where one has changed since.

        A model that takes over from a champion needs both rows changed at once: the database holds one champion a task.
        """
        changed = []
        try:
            with self.engine.begin() as connection:
                for change in changes:
                    changed.append(self._changed(connection, change))
        except (_Changed, IntegrityError):
            # Of two that become the champion at once, the database refuses the second.
            return None
        return changed

    def _changed(self, connection: Connection, change: Change) -> DeploymentRecord:
        seen = change.seen
        values = {**change.values, "version": seen.version + 1, "updated_at": change.event.at}
        new = DeploymentRecord.model_validate(seen.model_copy(update=values).model_dump())
        unchanged = (deployments.c.id == seen.id) & (deployments.c.version == seen.version)
        if connection.execute(update(deployments).where(unchanged).values(to_row(new))).rowcount != 1:
            raise _Changed
        last = select(func.max(deployment_events.c.sequence)).where(deployment_events.c.deployment_id == seen.id)
        sequence = (connection.execute(last).scalar() or 0) + 1
        connection.execute(insert(deployment_events).values(to_row(change.event) | {"sequence": sequence}))
        return new

    def events(self, deployment_id: str) -> list[DeploymentEvent]:
        """Everything that happened to a deployment, oldest first."""
        query = (
            select(deployment_events)
            .where(deployment_events.c.deployment_id == deployment_id)
            .order_by(deployment_events.c.sequence)
        )
        with self.engine.connect() as connection:
            return [from_row(DeploymentEvent, row) for row in connection.execute(query)]

    def events_since(self, at: datetime) -> list[DeploymentEvent]:
        """What happened to any deployment at this time or later, oldest first."""
        query = (
            select(deployment_events)
            .where(deployment_events.c.at >= at)
            .order_by(deployment_events.c.at, deployment_events.c.deployment_id, deployment_events.c.sequence)
        )
        with self.engine.connect() as connection:
            return [from_row(DeploymentEvent, row) for row in connection.execute(query)]

    def _all(self, condition: ColumnElement[bool]) -> list[DeploymentRecord]:
        query = select(deployments).where(condition).order_by(desc(deployments.c.created_at), desc(deployments.c.id))
        with self.engine.connect() as connection:
            return [from_row(DeploymentRecord, row) for row in connection.execute(query)]
