"""Erasure in the folders of trainings that were begun and not finished: their rows hold what was captured.

A folder with an erased interaction in it is deleted as a whole, states and all: what was learned from the row goes too. The same
training, asked for again, begins anew.
"""

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.config import load_settings
from continuum.training.job import INPUTS, JOB, LOCK

if TYPE_CHECKING:
    from continuum.store.database import Store

logger = logging.getLogger(__name__)

STARTING_S = 600
"""A folder that was written less long ago is left for the next time: its worker may still be loading torch."""
NAMES = ("interaction_id", "rejected_id")
PEOPLES = ("correction", "verdict", "verdicts")
"""Sources of rated and of preferred answers that people made; what a constraint made has no interaction of its own."""


def erase_from_trainings(
    store: "Store",
    task: str,
    erased: Collection[str],
    *,
    clock: Callable[[], float] = time.time,
    complain: Callable[[Iterable[str]], object] = lambda troubles: None,
) -> int:
    """Delete the folders of a task's trainings that hold an erased interaction and that nobody works in.

    A rated or a preferred answer counts as erased when its interaction is not in the store: no dataset version names it.

    Args:
        store: says which interactions there are.
        task: whose.
        erased: interactions that were in a dataset version and are gone.
        clock: seconds since 1970.
        complain: told in words what could not be deleted.

    Returns:
        How many folders were deleted.
    """
    deleted = 0
    place = load_settings().training_dir / task
    for folder in sorted(place.iterdir()) if place.is_dir() else ():
        try:
            if _holds(store, folder, set(erased)) and _is_old(folder, clock()):
                with _alone(folder) as alone:
                    if alone:
                        shutil.rmtree(folder)
                        deleted += 1
                    else:
                        logger.warning("%s holds what was erased, and is trained from at this moment; gather again", folder)
                        complain([f"{folder} is trained from at this moment"])
        except OSError as error:
            logger.warning("what was erased could not be taken out of %s: %s", folder, error)
            complain([f"the training in {folder}: {error}"])
    return deleted


def _holds(store: "Store", folder: Path, erased: set[str]) -> bool:
    rows = [row for path in sorted((folder / INPUTS).glob("*.jsonl")) for row in _rows(path)]
    if any(row[name] in erased for row in rows for name in NAMES if name in row):
        return True
    # Of a dataset that is no version of the store nobody can tell whether an interaction ever stood behind a row.
    if not _is_of_a_version(store, folder):
        return False
    judged = {row[name] for row in rows if row["source"] in PEOPLES for name in NAMES if name in row}
    return bool(judged - store.golden_answers.there(judged))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """What each row of a file names: its interactions, and where it comes from."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            with suppress(ValueError, AttributeError):
                row: Any = json.loads(line)
                row = row.get("example", row)
                yield {name: str(row[name]) for name in NAMES if row.get(name)} | {"source": str(row.get("source"))}


def _is_of_a_version(store: "Store", folder: Path) -> bool:
    with suppress(OSError, ValueError, KeyError):
        return store.datasets.get(str(json.loads((folder / JOB).read_text(encoding="utf-8"))["dataset"])) is not None
    return False


def _is_old(folder: Path, at: float) -> bool:
    return at - max(path.stat().st_mtime for path in (folder, folder / JOB) if path.exists()) > STARTING_S


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no worker holds the folder; none can while this goes on."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
