"""A process that leaves a backlog to a batch endpoint, or collects it, and dies by its own hand after so many steps.

Run as `python -m tests.annotation.batch_process submit|collect DATABASE_URL BASE_URL STEPS`; 0 steps let it live.
"""

import asyncio
import os
import signal
import sys

from pydantic import SecretStr

from continuum.annotation.batches import collect_batches, submit_backlog
from continuum.config import load_settings
from continuum.judging.model_judge import EndpointJudge
from continuum.models.endpoint import EndpointModel
from continuum.models.pricing import Price
from continuum.policy import TaskPolicy
from continuum.store.database import open_store


def main(work: str, database_url: str, base_url: str, steps: str) -> None:
    left = int(steps)

    def step(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    store = open_store(database_url)
    if work == "submit":
        model = EndpointModel("judge", base_url=base_url, api_key=SecretStr("key"), price=Price(2.0, 8.0))
        asyncio.run(submit_backlog(store, TaskPolicy(task="support"), EndpointJudge(model), on_progress=step))
    else:
        settings = load_settings({"CONTINUUM_HOME": ".", "CONTINUUM_JUDGE_API_KEY": "key"})
        asyncio.run(collect_batches(store, settings=settings, on_progress=step))


if __name__ == "__main__":
    main(*sys.argv[1:])
