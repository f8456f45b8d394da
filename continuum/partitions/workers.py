"""Who computes a batch of rows: this process, or workers of Ray on one machine or many.

What is spread is a plain function of a list of texts that returns an array with a row for each. Batches are cut in the same
places and come back in order whoever computes them, so that the answer is the same bit for bit.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from continuum.config import WorkersName
from continuum.errors import ConfigurationError, MissingExtra

BatchFunction = Callable[[list[str]], np.ndarray]
"""Texts to an array with one row for each. For workers of Ray it must be importable there: a function of a module, or a method
of an object that can be sent; a model sends its location and is opened where it works."""


class Workers(Protocol):
    """Computes batches of rows."""

    def batches(self, function: BatchFunction, texts: Sequence[str], batch_rows: int) -> Iterator[np.ndarray]:
        """What the function makes of each `batch_rows` texts, in their order, as it comes in."""
        ...


class LocalWorkers:
    """This process."""

    def batches(self, function: BatchFunction, texts: Sequence[str], batch_rows: int) -> Iterator[np.ndarray]:
        """What the function makes of each `batch_rows` texts, in their order."""
        return map(function, in_batches(texts, batch_rows))


def map_rows(workers: Workers, function: BatchFunction, texts: Sequence[str], batch_rows: int) -> np.ndarray:
    """What the function makes of all texts: an array with one row for each, equal whoever computes it.

    Args:
        workers: who computes.
        function: called with at most `batch_rows` texts at a time; with none where there are none, for the shape.
        texts: what to compute.
        batch_rows: 1 or more.
    """
    if not texts:
        return function([])
    return np.concatenate(list(workers.batches(function, texts, batch_rows)))


def in_batches(texts: Sequence[str], batch_rows: int) -> Iterator[list[str]]:
    """The texts, so many at a time.

    Raises:
        ConfigurationError: a batch would hold nothing.
    """
    if batch_rows < 1:
        raise ConfigurationError(f"batch_rows is {batch_rows}; a batch holds 1 row or more")
    return (list(texts[start : start + batch_rows]) for start in range(0, len(texts), batch_rows))


def open_workers(name: WorkersName) -> Workers:
    """The workers that CONTINUUM_WORKERS names; those of Ray are started when there is work for them.

    Raises:
        ConfigurationError: there are no workers of this name.
        MissingExtra: Ray is not installed.
    """
    if name == "local":
        return LocalWorkers()
    if name != "ray":
        raise ConfigurationError(f"there are no workers {name!r}; CONTINUUM_WORKERS is local or ray")
    try:
        from continuum.partitions.ray_workers import RayWorkers  # ray starts here
    except ImportError as error:
        raise MissingExtra.of(error, "CONTINUUM_WORKERS=ray") from error
    return RayWorkers()
