"""Which judges withstood the attack texts."""

from sqlalchemy import ColumnElement, desc, select

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
        return self._newest(admissions.c.version == version, admissions.c.rubric == rubric)

    def newest(self, judge: str, rubric: str) -> Admission | None:
        """The newest outcome for a judge of this name and a rubric, whatever its version."""
        return self._newest(admissions.c.judge == judge, admissions.c.rubric == rubric)

    def _newest(self, *conditions: ColumnElement[bool]) -> Admission | None:
        query = select(admissions).where(*conditions).order_by(desc(admissions.c.created_at), desc(admissions.c.id)).limit(1)
        with self.engine.connect() as connection:
            row = connection.execute(query).first()
        return from_row(Admission, row) if row else None
