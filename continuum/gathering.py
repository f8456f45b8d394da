"""What a turn does first: bring in what waits, let go of what is too old or erased, read what the logs say, write snapshots.

Each step may be repeated at any time and adds nothing the second time; a step that fails leaves the others undone, not half done.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from continuum.config import load_settings
from continuum.progress import Progress, silent
from continuum.records import Record
from continuum.reopening import look
from continuum.signals.implicit import derive_implicit
from continuum.signals.reliability import assess_raters
from continuum.spool.draining import collect
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store


class Gathered(Record):
    """What gathering did for a task."""

    task: str
    recovered: int
    """Interactions and feedback that dead processes had left in this machine's spool, of any task."""
    deleted: int
    """Interactions older than the task's retention."""
    kept_for_lineage: int
    """As old, and kept because a dataset version holds them."""
    golden_items_erased: int = 0
    """Items that were erased from the store and now are from the files of golden datasets too, over all versions."""
    trainings_erased: int = 0
    """Folders of trainings that were begun, held what was erased, and are deleted."""
    snapshot_rows: int
    """Interactions newly written to Parquet snapshots."""
    implicit_signals: int
    """Implicit feedback newly derived from the logs."""
    raters: int
    """People whose verdicts were weighed."""
    reopened: int = 0
    """Interactions that a training set had considered, and that late feedback opened again."""
    reopened_golden_items: int = 0
    """Golden items that a verdict was given on, and of which people say otherwise since the last time."""


class LetGo(Record):
    """What was deleted of a task because it was too old or erased."""

    deleted: int
    """Interactions older than the task's retention."""
    kept_for_lineage: int
    """As old, and kept because a dataset version holds them."""
    golden_items_erased: int
    """Items that were erased from the store and now are from the files of golden datasets too, over all versions."""
    trainings_erased: int
    """Folders of trainings that were begun, held what was erased, and are deleted."""


def let_go(store: "Store", task: str, *, now: Callable[[], datetime] = utc_now) -> LetGo:
    """Delete what is older than a task keeps it, and take what was erased out of its files; may be repeated at any time.

    Raises:
        ConfigurationError: there is no such task.
        StoreError: the store, or the place of the snapshots, cannot be written.
    """
    from continuum.splits.golden_erasure import erase_from_golden, erased_members
    from continuum.store.retention import apply_retention
    from continuum.training.erasure import erase_from_trainings

    old = apply_retention(store, task, now=now)
    golden_items = erase_from_golden(store, task)
    trainings = erase_from_trainings(store, task, erased_members(store, task))
    return LetGo(deleted=old.deleted, kept_for_lineage=old.kept, golden_items_erased=golden_items, trainings_erased=trainings)


def gather(store: "Store", task: str, *, now: Callable[[], datetime] = utc_now, on_progress: Progress = silent) -> Gathered:
    """Gather a task's traffic.

    Raises:
        ConfigurationError: there is no such task.
        StoreError: the store, or the place of the snapshots, cannot be written.
    """
    from continuum.embedding.cache import cached_embedder
    from continuum.store.snapshots import write_snapshots  # polars starts here

    recovered = collect(store, load_settings().spool_dir, on_progress=on_progress)
    store.tasks.get(task)
    gone = let_go(store, task, now=now)
    on_progress(0, 0, "reading what the logs say")
    implicit = derive_implicit(store, task, embedder=cached_embedder(load_settings()), now=now)
    raters = assess_raters(store, task)
    late = look(store, task, now=now)
    on_progress(0, 0, "writing snapshots")
    written = write_snapshots(store, task, now=now)
    return Gathered(
        task=task,
        recovered=recovered.stored + recovered.feedback_stored,
        **gone.model_dump(),
        snapshot_rows=written.rows,
        implicit_signals=implicit.added,
        raters=len(raters.raters),
        reopened=late.opened.get(task, 0),
        reopened_golden_items=late.verdicts.get(task, 0),
    )
