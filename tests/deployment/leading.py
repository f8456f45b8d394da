"""What a deployment is led with in a test: a clock that is set, a server that keeps a list, a watch that says what it is told."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from continuum.deployment.backends.protocol import Health, Warmed
from continuum.deployment.watch.watch import Look
from continuum.errors import DeploymentError
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint
from continuum.serving_records import DeploymentRecord
from tests.builders import NOON

if TYPE_CHECKING:
    from continuum.store.database import Store


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_hours(self, hours: float) -> None:
        self.now += timedelta(hours=hours)


class Shelf:
    """A server of tuned models that keeps their names and says what it was asked."""

    name = "local"

    def __init__(self, url: str = "http://127.0.0.1:9/v1") -> None:
        self.url = url
        self.up = True
        self.refusal: str | None = None
        self.slot: str | None = None
        self.loaded: list[str] = []
        self.asked: list[tuple[Any, ...]] = []

    async def warm(self, checkpoint: Checkpoint) -> Warmed:
        self.asked.append(("warm", checkpoint.name))
        if self.refusal is not None:
            raise DeploymentError(self.refusal)
        if self.up and checkpoint.name not in self.loaded:
            self.loaded.append(checkpoint.name)
        return Warmed(self.up, "it answers" if self.up else "nobody answers", self.slot)

    async def unload(self, model: str) -> None:
        self.asked.append(("unload", model))
        if not self.up:
            raise DeploymentError("nobody answers")
        self.loaded = [name for name in self.loaded if name != model]

    async def health(self) -> Health:
        return Health(self.up, "")

    async def models(self) -> tuple[str, ...]:
        return tuple(self.loaded)

    async def traffic(self, model: str, share: float) -> None:
        self.asked.append(("traffic", model, share))


class Told:
    """A watch that comes to what a test tells it."""

    def __init__(self, action: Any = "promote", words: str = "no worse, on 300 conversations") -> None:
        self.action = action
        self.words = words
        self.about: str | None = None
        """Of which deployment it says so, of others that all is well; None for all."""
        self.seen: list[str] = []

    async def __call__(self, store: "Store", record: DeploymentRecord, policy: TaskPolicy, *, now: datetime) -> Look:
        self.seen.append(record.id)
        evidence: Mapping[str, Any] = {"delta": -0.001, "lower": -0.02}
        if self.about not in (None, record.id):
            return Look("promote", "all is well", evidence)
        return Look(self.action, self.words, evidence)
