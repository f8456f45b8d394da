"""What judges said, by content: a cache that all processes share, and the claim on what is being judged."""

from continuum.store.rows import Rows


class Judgements(Rows):
    """What was said of each content, or who is asking."""
