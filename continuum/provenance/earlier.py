"""What a line of models learned before: the datasets behind a checkpoint, and the rows of each that nothing was trained on.

Training measures on them what it forgets, the guard what a candidate has lost. They are read from the datasets' own files.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.dataset import Dataset
from continuum.errors import StoreError
from continuum.records import Checkpoint, Example

if TYPE_CHECKING:
    from continuum.store.database import Store

MEASURED_ROWS = 256
"""At most this many validation rows of a dataset are measured: the first by interaction id."""


@dataclass(frozen=True)
class Learned:
    """A dataset that a line learned from, and its validation rows."""

    fingerprint: str
    name: str
    rows: tuple[Example, ...]


def line_of_datasets(store: "Store", checkpoint: Checkpoint | None) -> list[str]:
    """Fingerprints of the datasets that a checkpoint and those before it learned from, newest first, each once."""
    fingerprints: list[str] = []
    seen: set[str] = set()
    while checkpoint is not None and checkpoint.id not in seen:
        seen.add(checkpoint.id)
        if checkpoint.dataset_id not in fingerprints:
            fingerprints.append(checkpoint.dataset_id)
        checkpoint = store.checkpoints.get(checkpoint.parent_id) if checkpoint.parent_id else None
    return fingerprints


def held_out(
    store: "Store", fingerprints: Iterable[str], left_out: AbstractSet[str]
) -> tuple[tuple[Learned, ...], tuple[str, ...]]:
    """The validation rows of datasets, in the order asked for.

    Args:
        store: where the datasets are recorded.
        fingerprints: of the datasets.
        left_out: interactions that must not be measured on, because they were trained on or are kept for another measure.

    Returns:
        The datasets that can be read, and the names of those whose files are gone.
    """
    found: list[Learned] = []
    gone: list[str] = []
    for fingerprint in fingerprints:
        record = store.datasets.get(fingerprint)
        try:
            rows = Dataset.read(record.uri).split("validation") if record is not None else None
        except StoreError:
            rows = None
        if record is None or rows is None:
            gone.append(record.name if record is not None else fingerprint)
            continue
        kept = [row for row in sorted(rows, key=_by_id) if row.interaction_id not in left_out][:MEASURED_ROWS]
        found.append(Learned(fingerprint, record.name, tuple(kept)))
    return tuple(found), tuple(gone)


def _by_id(example: Example) -> str:
    return example.interaction_id
