"""Batches of rows as Ray Data `map_batches`: on the cluster that RAY_ADDRESS names, or on workers of this machine alone.

Nothing is sent to anyone: Ray's usage statistics and its dashboard are off, and what is started here listens on loopback.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

# All of this is read while Ray is imported. It warns of its own names, and says each step of its own on the terminal.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.")
warnings.filterwarnings("ignore", category=FutureWarning, module=r"ray\.")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if "RAY_ADDRESS" not in os.environ:
    # A cluster of one machine: its servers listen on loopback, which this stands for on every system, despite its name.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.exceptions import RayError

from continuum.errors import ConfigurationError, ContinuumError
from continuum.partitions.workers import BatchFunction, in_batches


class RayWorkers:
    """A pool of actors; each opens what the function needs once and computes batch after batch.

    Args:
        count: how many; None for one a processor.

    Raises:
        ConfigurationError: there would be none.
    """

    def __init__(self, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise ConfigurationError(f"count is {count}; 1 worker or more is needed")
        self.count = count
        self._started = False

    def batches(self, function: BatchFunction, texts: Sequence[str], batch_rows: int) -> Iterator[np.ndarray]:
        """What the function makes of each `batch_rows` texts, in their order, as it comes in.

        Raises:
            ContinuumError: a worker failed; the message says how.
        """
        # A row of Ray's is a batch of ours: JSON holds any text, also one with half a surrogate pair.
        rows = [{"place": place, "texts": json.dumps(batch)} for place, batch in enumerate(in_batches(texts, batch_rows))]
        if not rows:
            return
        self._start()
        pool = ray.data.ActorPoolStrategy(size=min(len(rows), self.count or int(ray.cluster_resources().get("CPU", 1))))
        spread = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Applied, fn_constructor_args=(function,), batch_size=1, batch_format="pyarrow", compute=pool, num_cpus=1
        )
        try:
            yield from _in_order(spread.iter_rows())
        except RayError as error:
            raise ContinuumError(f"the workers of Ray failed: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """End the workers that were started here; a cluster of others is left alone."""
        if self._started:
            ray.shutdown()
            self._started = False

    def _start(self) -> None:
        if ray.is_initialized():
            return
        logging.getLogger("ray").setLevel(logging.ERROR)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": False}
        if address := os.environ.get("RAY_ADDRESS"):
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", num_cpus=self.count, include_dashboard=False, **quiet)
        self._started = True
        logging.getLogger("ray.data").setLevel(logging.ERROR)


class _Applied:
    """An actor: the function, applied to one batch of texts at a time."""

    def __init__(self, function: BatchFunction) -> None:
        self.function = function

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The array as bytes, and what it is made of; or the error, which Ray would bury under its own."""
        place = batch["place"]
        try:
            made = np.ascontiguousarray(self.function(json.loads(batch["texts"][0].as_py())))
        except Exception as error:  # noqa: BLE001 - raised again in the process that asked
            return _result(place, np.zeros(0), f"{type(error).__name__}: {error}")
        return _result(place, made, "")


def _result(place: Any, made: np.ndarray, failure: str) -> pa.Table:
    content = pa.array([made.tobytes()], pa.large_binary())
    return pa.table(
        {"place": place, "type": [made.dtype.str], "shape": [list(made.shape)], "content": content, "failure": [failure]}
    )


def _in_order(rows: Iterator[dict[str, Any]] | Any) -> Iterator[np.ndarray]:
    """The results by place: the pool gives them as they are done."""
    early: dict[int, np.ndarray] = {}
    place = 0
    for row in rows:
        if row["failure"]:
            raise ContinuumError(f"a worker of Ray failed: {row['failure']}")
        early[row["place"]] = np.frombuffer(row["content"], dtype=row["type"]).reshape(row["shape"])
        while place in early:
            yield early.pop(place)
            place += 1
