"""What one worker of the gateway knows of the store: the routes and the breakers' policies, read again several times a second.

While the store does not answer, the last known routes go on as they are. A gateway that starts then begins with those on disk. A
candidate's share among them may be long revoked, so only the stable arms of that file answer; a worker that takes the place of
another one, under a parent that has run all the while, trusts it whole.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from continuum.config import load_settings
from continuum.deployment.gateway.last_known import read_known, write_known
from continuum.deployment.routing import RouteTable
from continuum.records import Record
from continuum.serving_policy import BreakerPolicy
from continuum.serving_records import DeploymentRecord
from continuum.store import store_at

if TYPE_CHECKING:
    from continuum.store.database import Store

FILE = "routes.json"
UNANSWERED = "no answer"


class WhenThere:
    """The default store, opened when something is asked of it: a gateway starts while there is none."""

    def __init__(self) -> None:
        self._url = load_settings().database_url.get_secret_value()

    def __getattr__(self, name: str) -> Any:
        return getattr(store_at(self._url), name)


logger = logging.getLogger(__name__)


class KnownRoutes(Record):
    """The deployments that route traffic, newest first, as they lie on disk."""

    serving: tuple[DeploymentRecord, ...]


class Following:
    """The routes as one worker knows them.

    Args:
        store: where they are.
        folder: where the last known ones are kept.
        trusts_file: whether the file is as new as anybody's knowledge, because workers beside this one wrote it.
    """

    def __init__(self, store: "Store", folder: Path, *, trusts_file: bool = False) -> None:
        self.routes = RouteTable()
        self.store_error: str | None = None
        """Why the store gave no routes when it was last asked; None where it did."""
        self.known = False
        """Whether the routes are known, from the store or from the file."""
        self.policies: dict[str, BreakerPolicy] = {}
        self.tasks: tuple[str, ...] = ()
        """The tasks that the store knows."""
        self._store = store
        self._file = folder / FILE
        self._trusts_file = trusts_file
        self._versions: Any = None

    def read(self) -> bool:
        """Read the routes where a deployment has changed; whether they are others now.

        Blocks on the store: for a thread beside the event loop. One short query where nothing has changed.
        """
        try:
            versions = self._store.deployments.versions()
            if versions == self._versions:
                self.store_error = None
                return False
            serving = self._store.deployments.serving()
            self.policies = {task: self._policy(task) for task in {one.task for one in serving}}
            self.tasks = tuple(self._store.tasks.names())
        except Exception as error:  # noqa: BLE001  whatever ails the store, the last known routes go on serving
            if self.store_error is None:
                logger.warning("the routes cannot be read, the last known ones stay: %s", type(error).__name__)
            self.store_error = type(error).__name__
            return self._begin_without() if not self.known else False
        self.store_error = None
        self._take(serving)
        self._versions = versions
        self._keep(serving)
        return True

    def unanswered(self) -> None:
        """The store has not answered for long: the last known routes go on."""
        if self.store_error is None:
            logger.warning("the store does not answer, the last known routes stay")
        self.store_error = UNANSWERED
        if not self.known:
            self._begin_without()

    def policy_of(self, task: str) -> BreakerPolicy:
        """When the breakers of a task's models open."""
        return self.policies.get(task) or BreakerPolicy()

    def _take(self, serving: list[DeploymentRecord]) -> None:
        self.routes, self.known = RouteTable.of(serving), True

    def _policy(self, task: str) -> BreakerPolicy:
        stored = ((self._store.tasks.raw_policy(task) or {}).get("deployment") or {}).get("breaker") or {}
        try:
            return BreakerPolicy.model_validate(stored)
        except ValidationError as error:
            logger.warning(
                "the breaker's policy of task %s cannot be read, the usual one holds: %d faults", task, error.error_count()
            )
            return BreakerPolicy()

    def _begin_without(self) -> bool:
        """Begin with what is on disk; with production alone where that is damaged."""
        try:
            found = read_known(self._file, KnownRoutes)
        except ValueError as error:
            logger.error("the last known routes at %s cannot be used, so production answers everybody: %s", self._file, error)
            found = None
        serving = [] if found is None else list(found.serving)
        if not self._trusts_file:
            serving = [one.model_copy(update={"traffic": 0.0, "shadow": 0.0}) for one in serving]
        self._take(serving)
        return True

    def _keep(self, serving: list[DeploymentRecord]) -> None:
        try:
            write_known(self._file, KnownRoutes(serving=tuple(serving)))
        except OSError as error:
            logger.warning("the routes cannot be kept at %s, a start without the store will not know them: %s", self._file, error)
