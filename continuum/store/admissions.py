"""Which judges withstood the attack texts."""

from continuum.store.rows import Rows


class Admissions(Rows):
    """The outcome of each admission test."""
