"""A gateway of one worker, run until it is told to stop."""

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from continuum.config import load_settings
from continuum.deployment.gateway.following import WhenThere
from continuum.deployment.gateway.gateway import STOP_S, Gateway
from continuum.deployment.serving import end_within, settle, shown_url, stop_signal

if TYPE_CHECKING:
    from continuum.store.database import Store


async def serve_gateway(
    host: str = "127.0.0.1",
    port: int = 8787,
    default_task: str | None = None,
    *,
    keys: bool | None = None,
    override: bool = False,
) -> None:
    """Run a gateway on the default store until SIGTERM or Ctrl-C; what has begun is answered, and what was served is stored."""
    stop, settings, store = stop_signal(), load_settings(), cast("Store", WhenThere())
    served = Gateway(store, settings, default_task=default_task, host=host, port=port, keys=keys, override=override, apart=True)
    async with served as gateway:
        settle()
        print(announcement(gateway.base_url, settings.upstream_base_url, default_task, gateway.tasks), flush=True)
        await stop.wait()
        end_within(STOP_S)


def announcement(base_url: str, upstream: str | None, default_task: str | None, known_tasks: Collection[str]) -> str:
    """Where a gateway serves, whom it asks and for which task, in one line without keys."""
    behind = "no upstream: set CONTINUUM_UPSTREAM_BASE_URL" if upstream is None else f"upstream {shown_url(upstream)}"
    if default_task is None:
        task = "no default task: requests name theirs"
    else:
        new = "" if default_task in known_tasks else " (not registered yet, its first call does that: is the name right?)"
        task = f"default task {default_task}{new}"
    return f"the gateway serves at {base_url}; {behind}; {task}"
