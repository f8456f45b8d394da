"""What a judge said of the frozen anchors, each time it was asked."""

from continuum.store.rows import Rows


class AnchorRounds(Rows):
    """The rounds of all tasks."""
