"""The side of each interaction, written once: what was to be measured is never learned from, however the data grows."""

from collections.abc import Mapping
from functools import partial
from typing import Literal

from sqlalchemy import Connection, func, select, text

from continuum.store.rows import Rows, in_batches, inserting
from continuum.store.tables import sides
from continuum.store.writing import in_one_transaction

Side = Literal["train", "validation", "golden", "quarantined"]

BATCH = 5000
CODES: dict[Side, str] = {"train": "t", "validation": "v", "golden": "g", "quarantined": "q"}
NAMES: dict[str, Side] = {code: name for name, code in CODES.items()}
NEW_ONES = {name: insert.on_conflict_do_nothing() for name, insert in inserting(sides).items()}


class SideRows(Rows):
    """Which side an interaction was put on, for each draw of a task."""

    def of(self, task: str, draw: str) -> dict[str, Side]:
        """The sides that were decided, by interaction id."""
        query = select(sides.c.interaction_id, sides.c.side).where(sides.c.task == task, sides.c.draw == draw)
        with self.engine.connect() as connection:
            return {row[0]: NAMES[row[1]] for row in connection.execute(query)}

    def remember(self, task: str, draw: str, decided: Mapping[str, Side], *, known: int) -> bool:
        """Write sides that were decided, all or none; a side that is there already is never changed.

        Args:
            task: whose.
            draw: names the salt and the shares.
            decided: interaction id to side.
            known: how many sides the draw had when these were decided.

        Returns:
            False, and nothing is written, where another process decided some meanwhile: read them and decide again.

        Raises:
            StoreError: the database failed.
        """
        return in_one_transaction(self.engine, partial(_remember, task=task, draw=draw, decided=decided, known=known))


def _remember(connection: Connection, *, task: str, draw: str, decided: Mapping[str, Side], known: int) -> bool:
    if connection.dialect.name == "postgresql":
        # SQLite has one writer at a time; here two who decide at once must see each other's rows.
        connection.execute(text("LOCK TABLE sides IN SHARE ROW EXCLUSIVE MODE"))
    count = select(func.count()).where(sides.c.task == task, sides.c.draw == draw)
    if connection.execute(count).scalar_one() != known:
        return False
    for batch in in_batches(sorted(decided.items()), BATCH):
        rows = [{"interaction_id": one, "draw": draw, "task": task, "side": CODES[side]} for one, side in batch]
        connection.execute(NEW_ONES[connection.dialect.name], rows)
    return True
