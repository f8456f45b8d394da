"""What the spool's thread does with a batch: write it, or say whether the store is out or a row is bad."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from continuum.errors import StoreError
from continuum.records import Feedback, Interaction

if TYPE_CHECKING:
    from continuum.store.database import Store

Captured = Interaction | Feedback
Item = Captured | Callable[[], Captured]
"""A record, or a function that makes one in the spool's thread."""


class Outage(Exception):
    """The store takes nothing now; the same batch may pass later."""


class Writer:
    """Writes batches to a store and registers the tasks it meets.

    Args:
        open_store: called for each batch; it must be cheap once the store is open.
    """

    def __init__(self, open_store: "Callable[[], Store]") -> None:
        self._open_store = open_store
        self._store: Store | None = None
        self._tasks: set[str] = set()
        self.tried = False
        """Whether a batch has been written, or refused, before."""

    def open(self) -> "Store":
        """The store.

        Raises:
            Outage: it cannot be opened.
        """
        try:
            store = self._open_store()
        except Exception as error:
            self.tried = True
            raise Outage(reason_of(error)) from error
        if store is not self._store:
            self._store, self._tasks = store, set()
        return store

    def write(self, records: Sequence[Captured]) -> list[Captured]:
        """Write the records and return those that the store refused for what they hold; it is safe to repeat.

        Raises:
            Outage: the store is out; nothing is known of what was written.
        """
        store = self.open()
        try:
            if self._accepted(store, records):
                return []
            return [record for record in records if not self._accepted(store, [record])]
        finally:
            self.tried = True

    def _accepted(self, store: "Store", records: Sequence[Captured]) -> bool:
        try:
            interactions = [record for record in records if isinstance(record, Interaction)]
            for task in {interaction.task for interaction in interactions} - self._tasks:
                store.tasks.ensure(task)
                self._tasks.add(task)
            store.interactions.add(interactions)
            store.feedback.add(record for record in records if isinstance(record, Feedback))
        except Exception as error:
            if not is_refusal(error):
                raise Outage(reason_of(error)) from error
            return False
        return True


def is_refusal(error: Exception) -> bool:
    """Whether an error is about what a row holds; anything else may pass when the store is well again."""
    from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

    if isinstance(error, DBAPIError):
        return isinstance(error, (DataError, IntegrityError))
    return isinstance(error, (SQLAlchemyError, ValueError, TypeError, OverflowError)) and not isinstance(error, StoreError)


def reason_of(error: Exception) -> str:
    """The first line of what the database says; the statement, with the captured text in it, is left out."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0][:300] or type(error).__name__
