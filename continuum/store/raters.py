"""How far each person who gives feedback can be trusted; a row for a task and a rater."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from continuum.store.rows import Rows, in_batches
from continuum.store.tables import raters


@dataclass(frozen=True)
class RaterRow:
    """What is known of one rater of one task."""

    task: str
    rater: str
    reliability: float
    """From 0, which says nothing, to 1, always right."""
    sensitivity: float
    """Of the good answers, the share this rater calls good."""
    specificity: float
    """Of the bad answers, the share this rater calls bad."""
    verdicts: int
    """How many verdicts that rests on."""
    trusted: int
    """How many of them could be held against a trusted one."""
    updated_at: datetime


class Raters(Rows):
    """The raters of all tasks."""

    def put(self, rows: Iterable[RaterRow]) -> None:
        """Write what is now known of these raters, in the place of what was."""
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(raters)
        learned = {column.name: statement.excluded[column.name] for column in raters.c if not column.primary_key}
        replace = statement.on_conflict_do_update(index_elements=list(raters.primary_key), set_=learned)
        # One order for all writers, so that two of them never wait for each other.
        known = sorted(({(row.task, row.rater): row for row in rows}).items())
        with self.engine.begin() as connection:
            for batch in in_batches(known):
                connection.execute(replace, [asdict(row) for _, row in batch])

    def of(self, task: str) -> dict[str, RaterRow]:
        """The raters of a task, by name."""
        with self.engine.connect() as connection:
            found = connection.execute(select(raters).where(raters.c.task == task).order_by(raters.c.rater)).mappings()
            return {row["rater"]: RaterRow(**row) for row in found}
