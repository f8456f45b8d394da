"""Which judges withstood the attack texts."""

from sqlalchemy import desc, select

from continuum.records import Admission
from continuum.store.judging_tables import admissions
from continuum.store.rows import Rows, from_row


class Admissions(Rows):
    """The outcome of each admission test."""

    def put(self, admission: Admission) -> None:
        """Store an outcome; one that is there already is left as it is."""
        self.insert_all(admissions, [admission])

    def latest(self, version: str, rubric: str) -> Admission | None:
        """The newest outcome for a version of a judge and a rubric; None where it was never tested."""
        query = select(admissions).where(admissions.c.version == version, admissions.c.rubric == rubric)
        query = query.order_by(desc(admissions.c.created_at), desc(admissions.c.id)).limit(1)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return from_row(Admission, row) if row else None
