"""A gateway of one worker, run until it is told to stop."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from continuum.config import load_settings
from continuum.deployment.gateway.following import WhenThere
from continuum.deployment.gateway.gateway import STOP_S, Gateway
from continuum.deployment.serving import end_within, settle, shown_url, stop_signal

if TYPE_CHECKING:
    from continuum.store.database import Store


@dataclass(frozen=True)
class Announcement:
    """Where a gateway serves, whom it asks and for which task; made by `announcement`, without keys."""

    base_url: str
    upstream: str | None
    """None where none is set."""
    default_task: str | None
    """The task of requests that name none; None where each names its own."""
    task_is_known: bool
    """Whether the store knows the default task; its first call registers it where not."""
    workers: int = 1

    def words(self) -> str:
        """In one line."""
        behind = "no upstream: set CONTINUUM_UPSTREAM_BASE_URL" if self.upstream is None else f"upstream {self.upstream}"
        if self.default_task is None:
            task = "no default task: requests name theirs"
        else:
            new = "" if self.task_is_known else " (not registered yet, its first call does that: is the name right?)"
            task = f"default task {self.default_task}{new}"
        several = f"; {self.workers} workers" if self.workers > 1 else ""
        return f"the gateway serves at {self.base_url}; {behind}; {task}{several}"


async def serve_gateway(
    host: str = "127.0.0.1",
    port: int = 8787,
    default_task: str | None = None,
    *,
    keys: bool | None = None,
    override: bool = False,
    on_ready: Callable[[Announcement], None],
) -> None:
    """Run a gateway on the default store until SIGTERM or Ctrl-C; what has begun is answered, and what was served is stored."""
    stop, settings, store = stop_signal(), load_settings(), cast("Store", WhenThere())
    served = Gateway(store, settings, default_task=default_task, host=host, port=port, keys=keys, override=override, apart=True)
    async with served as gateway:
        settle()
        on_ready(announcement(gateway.base_url, settings.upstream_base_url, default_task, gateway.tasks))
        await stop.wait()
        end_within(STOP_S)


def announcement(
    base_url: str, upstream: str | None, default_task: str | None, known_tasks: Collection[str], workers: int = 1
) -> Announcement:
    """What a gateway says of itself: the upstream without what may hold keys."""
    return Announcement(base_url, upstream and shown_url(upstream), default_task, default_task in known_tasks, workers)
