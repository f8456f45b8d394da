"""Backlogs at a provider's batch endpoint."""

from continuum.store.rows import Rows


class Batches(Rows):
    """The batches of all tasks."""
