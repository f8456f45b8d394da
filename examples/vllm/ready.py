"""Has the server of tuned models load a task's newest version, and says what it said."""

import asyncio
import sys

from continuum.config import load_settings
from continuum.deployment.backends import open_backend
from continuum.errors import DeploymentError
from continuum.store import default_store


async def ready(task: str) -> tuple[bool, str]:
    """Whether the version can be given traffic, and why not."""
    store, settings = default_store(), load_settings()
    versions = store.checkpoints.of(task)
    if not versions:
        return False, f"{task} has no version yet; train one with: continuum train {task}"
    checkpoint = max(versions, key=lambda one: one.version)
    policy = store.tasks.get(task).policy.deployment
    backend = open_backend(policy.backend, policy.backend_url or settings.serving_url, settings)
    health = await backend.health()
    if not health.up:
        return False, f"{backend.url}: {health.words}"
    try:
        warmed = await backend.warm(checkpoint)
    except DeploymentError as error:
        return False, str(error)
    return warmed.ready, f"{checkpoint.name} is {'ready' if warmed.ready else 'not ready'}: {warmed.words}"


def main() -> int:
    """0 where it is ready."""
    able, words = asyncio.run(ready(sys.argv[1]))
    print(words)
    return 0 if able else 1


if __name__ == "__main__":
    sys.exit(main())
