"""Near repeats: an interaction with almost the same words as an earlier one of its task is flagged, nothing is deleted for it.

On chat turns SimHash misses about half of the near-duplicates that MinHash finds; curation looks for those itself.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from continuum.records import Interaction

if TYPE_CHECKING:
    from continuum.similarity.simhash import RecentFingerprints
    from continuum.store.database import Store

WINDOW = 20_000
"""Interactions of a task that a new one is compared with: the ones before it."""


class NearRepeats:
    """Flags near repeats among the newest interactions of each task; it begins with what the store has."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._recent: dict[str, RecentFingerprints] = {}

    def flag(self, interactions: Sequence[Interaction], store: "Store") -> list[Interaction]:
        """The interactions in their order, those that nearly repeat an earlier one with `near_repeat_of`."""
        return [self._flagged(one, store) for one in interactions]

    def _flagged(self, one: Interaction, store: "Store") -> Interaction:
        if one.fingerprint is None:
            return one
        recent = self._recent.get(one.task) or self._begun(one.task, store)
        earlier = recent.near(one.fingerprint, one.id)
        return one if earlier is None or earlier == one.id else one.model_copy(update={"near_repeat_of": earlier})

    def _begun(self, task: str, store: "Store") -> "RecentFingerprints":
        from continuum.similarity.simhash import RecentFingerprints  # numpy starts here

        recent = self._recent[task] = RecentFingerprints(self._window)
        for interaction_id, fingerprint in store.interactions.recent_fingerprints(task, self._window):
            recent.remember(fingerprint, interaction_id)
        return recent
