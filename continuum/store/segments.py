"""How far each segment of the spool was drained."""

from sqlalchemy import delete, select

from continuum.store.rows import Rows
from continuum.store.tables import segments


class Segments(Rows):
    """Offsets by segment; `Store.drain` moves them, in the transaction that writes what was drained."""

    def offset(self, name: str) -> int:
        """Where draining goes on; 0 where nothing of the segment was drained."""
        with self.engine.connect() as connection:
            return connection.execute(select(segments.c.offset).where(segments.c.name == name)).scalar() or 0

    def names(self) -> list[str]:
        """The segments that were drained, in part or whole, and not forgotten; sorted."""
        with self.engine.connect() as connection:
            return list(connection.execute(select(segments.c.name).order_by(segments.c.name)).scalars())

    def forget(self, name: str) -> None:
        """Drop the row of a segment whose file is gone."""
        with self.engine.begin() as connection:
            connection.execute(delete(segments).where(segments.c.name == name))
