"""Who spends and judges now, and who is dead."""

from continuum.store.rows import Rows


class Workers(Rows):
    """The processes that spend and judge."""
