"""Dagster's own way of launching runs, which also sees to it that no run outlives its process and that pools have their limits.

Named in dagster.yaml. The limits of pools are part of Dagster's memory and of no file; here they are given in the file, and go
from there into the memory whenever a daemon starts its first run.
"""

import logging
import os
import signal
import time
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._serdes.config_class import ConfigurableClassData

from continuum.errors import ContinuumError
from continuum.store import default_store
from continuum_pipelines.run_workers import RunWorker

logger = logging.getLogger("continuum")

SURE_AFTER_S = 60.0
"""A worker of another host must be found gone for so long: the store may have been away, or the host asleep."""


class WatchfulRunLauncher(DefaultRunLauncher):
    """Launches runs as Dagster does by default, and knows whether their processes live.

    Args:
        inst_data: how Dagster makes it again in another process.
        pools: the limit of each pool; the others have `concurrency.pools.default_limit`.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None, pools: Mapping[str, int] | None = None) -> None:
        super().__init__(inst_data)
        self.pools = dict(pools or {})
        self.sure_after_s = SURE_AFTER_S
        self._limited = False
        self._gone_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> Any:
        """What dagster.yaml may say."""
        return {"pools": dg.Field(dg.Map(str, int), is_required=False, default_value={})}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """The launcher that dagster.yaml asks for."""
        return cls(inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run."""
        self.limit_pools()
        super().launch_run(context)

    def limit_pools(self) -> None:
        """Give the pools the limits of the file, once in a process: what somebody sets in the UI holds until the next start."""
        if not self._limited:
            set_limits(self._instance, self.pools)
            self._limited = True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run that goes on is there; a run that names none is left alone."""
        worker = RunWorker.of(run)
        if worker is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run names no worker")
        try:
            state = worker.state(default_store)
        except ContinuumError as error:
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"its worker cannot be asked for: {error}")
        if state != "is gone":
            self._gone_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        since = self._gone_since.setdefault(run.run_id, time.monotonic())
        if not worker.is_here and time.monotonic() - since < self.sure_after_s:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its worker was not heard of; it is looked for once more")
        del self._gone_since[run.run_id]
        where = "on this host" if worker.is_here else "and the store hears of it no more"
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"the run's process {worker.pid} is gone {where}", run_worker_id=worker.worker
        )

    def terminate(self, run_id: str) -> bool:
        """End a run; where the code server that started it is gone, its process is asked by a signal."""
        unreachable = None
        try:
            if super().terminate(run_id):
                return True
        except DagsterUserCodeUnreachableError as error:
            unreachable = error
        run = self._instance.get_run_by_id(run_id)
        worker = RunWorker.of(run) if run is not None and not run.is_finished else None
        if run is None or worker is None or not worker.is_here:
            if unreachable is not None:
                raise unreachable
            return False
        if worker.state(default_store) == "is gone":
            self._instance.report_run_canceled(run, message=f"The run's process {worker.pid} was gone already.")
        else:
            os.kill(worker.pid, signal.SIGINT)
        return True


def set_limits(instance: dg.DagsterInstance, pools: Mapping[str, int]) -> None:
    """Limit each pool, where it has another limit."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    known = {pool.name: pool for pool in storage.get_pool_limits()}
    for name, limit in pools.items():
        if name not in known or known[name].from_default or known[name].limit != limit:
            storage.set_concurrency_slots(name, limit)
            logger.info("the pool %s has %d slots", name, limit)
