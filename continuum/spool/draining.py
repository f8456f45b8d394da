"""Draining: lines of a segment become rows of the store, exactly once.

The rows, and how far the segment was read, are written in one transaction, and rows are known by their ids. Whatever is killed
when, the next drainer goes on where the last transaction ended.
"""

import gc
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from continuum.errors import ConfigurationError, MissingExtra, StoreError
from continuum.progress import Progress, silent
from continuum.records import Feedback, Interaction
from continuum.spool.cleaning import cleaned
from continuum.spool.finishing import finish_all, finish_feedback
from continuum.spool.segments import Abandoned, Opened, Segment, abandoned, read_lines
from continuum.spool.similar import NearRepeats

if TYPE_CHECKING:
    from continuum.store.database import Store

BATCH_LINES = 512
NUL = b"\\u0000"
"""As JSON writes it; Postgres takes none, and nothing else that JSON can hold is refused."""

logger = logging.getLogger(__name__)


class Outage(Exception):
    """Nothing can be written now; the same lines may pass later."""


@dataclass
class Drained:
    """What became of some lines."""

    stored: int = 0
    """Interactions written, or found to be there already."""
    failed: int = 0
    """Lines that hold no interaction, or one that the store refuses."""
    feedback_stored: int = 0
    feedback_failed: int = 0
    segments: int = 0
    """Segments drained to their end."""

    def add(self, other: "Drained") -> None:
        """Count another lot as well."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Lot:
    """Lines on their way."""

    drafts: list[dict[str, Any]] = field(default_factory=list)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    unreadable: int = 0


class Drains(Protocol):
    """Who writes what segments hold to a store: `Drain`, here, or `DrainApart`, in another process."""

    def begin(self, segment: str) -> int: ...  # noqa: D102 - told where it is done
    def step(self, segment: Segment | Opened, offset: int, end: int) -> tuple[int, Drained]: ...  # noqa: D102
    def write(self, lines: Sequence[bytes]) -> Drained: ...  # noqa: D102
    def forget(self, segment: str) -> None: ...  # noqa: D102
    def sample_rates(self) -> dict[str, float]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Drain:
    """Writes what segments hold to a store.

    Args:
        open_store: called for each batch; it must be cheap once the store is open.
        on_stored: called with the interactions of each batch once they are stored; what it raises is logged.
        batch_lines: how many lines of a segment are written in one transaction, at most; BATCH_LINES when None.
    """

    def __init__(
        self,
        open_store: "Callable[[], Store]",
        on_stored: Sequence[Callable[[Sequence[Interaction]], None]] = (),
        *,
        batch_lines: int | None = None,
    ) -> None:
        self._batch_lines = batch_lines
        self._open_store = open_store
        self._on_stored = on_stored
        self._near = NearRepeats()

    def open(self) -> "Store":
        """The store.

        Raises:
            Outage: it cannot be opened.
        """
        try:
            return self._open_store()
        except Exception as error:
            raise Outage(reason_of(error)) from error

    def begin(self, segment: str) -> int:
        """How far a segment was drained before.

        Raises:
            Outage: the store does not say.
        """
        store = self.open()
        try:
            return store.segments.offset(segment)
        except Exception as error:
            raise Outage(reason_of(error)) from error

    def step(self, segment: Segment | Opened, offset: int, end: int) -> tuple[int, Drained]:
        """Drain one batch of a segment, and say where the next one begins: at `offset` still where no whole line is left.

        Raises:
            Outage: the store is out; nothing is known of what was written.
        """
        read = read_lines(segment, offset, end, most=self._batch_lines or BATCH_LINES)
        if read.offset == offset:
            return offset, Drained()
        return self.write_piece(read.lines, segment.name, offset, read.offset)

    def write(self, lines: Sequence[bytes]) -> Drained:
        """Write lines that wait in memory.

        Raises:
            Outage: the store is out.
        """
        return self.write_piece(lines, None, 0, 0)[1]

    def forget(self, segment: str) -> None:
        """The segment's file is gone."""
        store = self.open()
        try:
            store.segments.forget(segment)
        except Exception as error:
            raise Outage(reason_of(error)) from error

    def close(self) -> None:
        """Be done; nothing is held between two batches."""

    def sample_rates(self) -> dict[str, float]:
        """What share of each task's conversations is to be captured.

        Raises:
            Outage: the store does not say.
        """
        store = self.open()
        try:
            policies = {name: (store.tasks.raw_policy(name) or {}).get("capture") or {} for name in store.tasks.names()}
        except Exception as error:
            raise Outage(reason_of(error)) from error
        rates = {name: policy.get("sample_rate", 1.0) for name, policy in policies.items()}
        return {name: float(rate) for name, rate in rates.items() if isinstance(rate, int | float) and 0 < rate <= 1}

    def write_piece(self, lines: Sequence[bytes], segment: str | None, seen: int, offset: int) -> tuple[int, Drained]:
        """Write the lines of a segment from `seen` up to `offset`, and say how far it is drained then.

        Raises:
            Outage: the store is out; nothing is known of what was written.
        """
        interactions, feedback, result = self._finished(parsed(lines))
        store = self.open()
        try:
            interactions = self._near.flag(interactions, store)
            written = store.drain(interactions, feedback, segment=segment, seen=seen, offset=offset)
            if written is None:
                # Another drainer had it in between, and what it has written stays.
                return store.segments.offset(segment or ""), Drained()
        except Exception as error:
            raise Outage(reason_of(error)) from error
        refused = set(written.refused)
        result.stored += sum(one.id not in refused for one in interactions)
        result.feedback_stored += sum(one.id not in refused for one in feedback)
        result.failed += sum(one.id in refused for one in interactions)
        result.feedback_failed += sum(one.id in refused for one in feedback)
        self._tell([one for one in interactions if one.id not in refused])
        return offset, result

    def _finished(self, lot: Lot) -> tuple[list[Interaction], list[Feedback], Drained]:
        result = Drained(failed=lot.unreadable)
        try:
            interactions = finish_all(lot.drafts)
        except (ConfigurationError, MissingExtra) as error:
            # Stored with what it asked to be without, it could not be called back.
            raise Outage(str(error)) from error
        except Exception:  # noqa: BLE001  one of them is hostile: each for itself
            interactions = []
            for draft in lot.drafts:
                try:
                    interactions += finish_all([draft])
                except (ConfigurationError, MissingExtra) as error:
                    raise Outage(str(error)) from error
                except Exception:  # noqa: BLE001
                    logger.debug("a capture could not be made into a record")
                    result.failed += 1
        feedback: list[Feedback] = []
        for draft in lot.feedback:
            try:
                feedback.append(finish_feedback(draft))
            except (ConfigurationError, MissingExtra) as error:
                raise Outage(str(error)) from error
            except Exception:  # noqa: BLE001
                logger.debug("feedback could not be made into a record")
                result.feedback_failed += 1
        return interactions, feedback, result

    def _tell(self, interactions: list[Interaction]) -> None:
        for listener in self._on_stored:
            try:
                listener(interactions)
            except Exception:
                logger.warning("continuum: a listener to stored captures failed", exc_info=True)


def parsed(lines: Sequence[bytes]) -> Lot:
    """What lines hold."""
    lot = Lot()
    for line in lines:
        if not line:
            continue
        try:
            content = orjson.loads(line)
            if NUL in line:
                content = cleaned(content)
            if "feedback" in content:
                lot.feedback.append({**content["feedback"], "redact": content.get("redact")})
            elif "id" in content and "task" in content:
                lot.drafts.append(content)
            else:
                lot.unreadable += 1
        except (ValueError, TypeError, AttributeError):
            lot.unreadable += 1
    return lot


def counted(lines: Sequence[bytes]) -> Drained:
    """What lines hold, as if all of it were stored: of a batch that is in the store, and of which nobody said so any more."""
    lot = parsed(lines)
    return Drained(stored=len(lot.drafts), failed=lot.unreadable, feedback_stored=len(lot.feedback))


def collect(
    store: "Store",
    folder: Path,
    *,
    on_stored: Sequence[Callable[[Sequence[Interaction]], None]] = (),
    on_progress: Progress = silent,
) -> Drained:
    """Drain what dead processes left in a spool folder; living ones drain their own.

    Raises:
        StoreError: the store does not take it; what is left waits for the next time.
    """
    total = Drained()
    try:
        drain = Drain(lambda: store, on_stored)
        for segment in abandoned(folder):
            total.add(drain_abandoned(drain, segment, on_progress))
    except Outage as outage:
        raise StoreError(f"what waits in {folder} could not be stored: {outage}; it stays there") from outage
    return total


def collect_together(database_url: str, folder: Path, *, workers: int) -> Drained:
    """The same by several processes at once, each with segments of its own: for a backlog that one would be long at.

    Raises:
        StoreError: the store does not take it; what is left waits for the next time.
    """
    total = Drained()
    # Spawned, not forked: the caller may have threads inside the database's library.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for drained in pool.map(collect_alone, repeat(database_url, workers), repeat(folder, workers)):
            total.add(drained)
    return total


def collect_alone(database_url: str, folder: Path) -> Drained:
    """What one of them does."""
    from continuum.store.database import open_store

    store = open_store(database_url)
    # What is loaded by now stays; the collector need not walk through it again and again.
    gc.freeze()
    try:
        return collect(store, folder)
    finally:
        store.close()


def drain_abandoned(drain: Drains, segment: Abandoned, on_progress: Progress = silent) -> Drained:
    """Drain one segment to its end and delete it.

    Raises:
        Outage: the store is out.
    """
    total = Drained(segments=1)
    offset = drain.begin(segment.name)
    while offset < segment.size:
        reached, drained = drain.step(segment, offset, segment.size)
        total.add(drained)
        on_progress(reached, segment.size, segment.name)
        if reached == offset:
            break
        offset = reached
    if offset < segment.size:
        logger.info("continuum: the last line of %s is torn, its writer was killed before it ended", segment.name)
    # The file first: a row without a file is a few bytes, a file without its row would be drained anew.
    segment.delete()
    drain.forget(segment.name)
    return total


def reason_of(error: Exception) -> str:
    """The first line of what the database says; the statement, with the captured text in it, is left out."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0][:300] or type(error).__name__
