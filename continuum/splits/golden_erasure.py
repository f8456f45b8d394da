"""Erasure in the files of golden datasets: the words of an erased item go, its hash stays, and a proof can still tell the rest.

Every version of a task is looked at, and the copies that proofs keep of sets which are no version. What somebody saved elsewhere
is beyond reach. An item whose interaction is gone from the store was erased: retention leaves what a version holds.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.artifacts.copies import published, sweep
from continuum.artifacts.places import name_of
from continuum.artifacts.publishing import change
from continuum.errors import StoreError
from continuum.records import DatasetRecord
from continuum.splits.golden_files import MANIFEST, ROWS, Written, read_version, remove_strays, sealed_text, write_left
from continuum.splits.golden_items import OWN

if TYPE_CHECKING:
    from continuum.store.database import Store

logger = logging.getLogger(__name__)
Complain = Callable[[Iterable[str]], object]


def erased_members(store: "Store", task: str) -> set[str]:
    """Ids of the interactions that are in a dataset version of a task, golden or not, and were erased since."""
    members = {one for kind in ("training", "golden", "control") for one in store.datasets.member_ids(task, kind)}
    suspects = {one for one in members if not one.startswith(OWN)}
    return suspects - store.golden_answers.there(suspects)


def erase_from_golden(store: "Store", task: str, complain: Complain = lambda troubles: None) -> int:
    """Take what was erased out of the files of a task's golden datasets; may be repeated at any time.

    A folder that cannot be read, or was altered, is named in the log and left as it is.

    Args:
        store: says which versions there are, and what was erased.
        task: whose.
        complain: told in words what could not be done, too.

    Returns:
        How many items were taken out, over all versions.
    """
    # What this machine fetched long ago and nobody reads any more may hold it too.
    sweep()
    gone = erased_members(store, task)
    if not gone:
        return 0
    taken = 0
    for uri in _holding(store, task, gone):
        try:
            taken += take_out(uri, gone)
        except (StoreError, OSError) as error:
            logger.warning("what was erased could not be taken out of %s: %s", uri, error)
            complain([f"the golden set at {uri}: {error}"])
    return taken


def rename_erased(store: "Store", task: str, stones: Mapping[str, str], complain: Complain = lambda troubles: None) -> int:
    """Put tombstones in the place of the ids that golden datasets name as erased; returns how many datasets named one.

    The store's members have the same tombstones by then.
    """
    renamed = 0
    for uri in _holding(store, task, set(stones.values())):
        try:
            if not stones.keys().isdisjoint(read_version(uri).erased):
                change(uri, lambda folder: _rename(folder, stones))
                renamed += 1
        except (StoreError, OSError) as error:
            logger.warning("the ids of what was erased could not be taken out of %s: %s", uri, error)
            complain([f"ids in the golden set at {uri}: {error}"])
    return renamed


def _rename(folder: Path, stones: Mapping[str, str]) -> None:
    written = read_version(folder)
    write_left(folder, written.items, written.manifest, {stones.get(one, one) for one in written.erased})


def _holding(store: "Store", task: str, members: set[str]) -> list[str]:
    """The golden versions that had one of these members, and all copies that proofs keep."""
    versions = {one.uri: one.id for one in store.datasets.versions(task) if one.kind == "golden"}
    held = {uri for uri, of in versions.items() if any(one.interaction_id in members for one in store.datasets.items(of))}
    # What proofs keep lies beside the versions, and the store knows nothing of it.
    kept = {uri for uri in published("datasets", task) if name_of(uri).startswith(f"{task}_golden_")}
    return sorted(held | (kept - versions.keys()))


def take_out(uri: str | Path, ids: set[str]) -> int:
    """Take items out of a golden dataset, and what an earlier attempt may have left; returns how many there were.

    Raises:
        StoreError: it is not what was written, or cannot be written.
    """
    written = read_version(uri)
    if not written.erased and not any(item.interaction_id in ids for item in written.items):
        return 0
    return change(uri, lambda folder: _take_out(folder, ids))


def _take_out(folder: Path, ids: set[str]) -> int:
    written = read_version(folder)
    gone = {item.interaction_id for item in written.items if item.interaction_id in ids}
    if gone:
        left = [item for item in written.items if item.interaction_id not in gone]
        write_left(folder, left, written.manifest, gone.union(written.erased))
    elif written.erased:
        remove_strays(folder, written.files)
    return len(gone)


def require_gone(store: "Store", record: DatasetRecord, written: Written) -> None:
    """Check that what a version's files lack was in it, and is gone from the store.

    Raises:
        StoreError: an item was taken out that nobody erased.
    """
    members = {one.interaction_id for one in store.datasets.items(record.id)}
    others = members.symmetric_difference({*written.erased, *(item.interaction_id for item in written.items)})
    if named := sorted(others | store.golden_answers.there(written.erased)):
        raise StoreError(
            f"{record.uri} says that {len(written.erased)} items of {record.name} were erased, and {named[0]!r} was not, or is "
            f"in the store again; let it grow with: continuum golden {record.task} --refresh, or restore it from a copy"
        )


def erased_since(store: "Store", uri: str, stated: Mapping[str, str], recorded: Mapping[str, Any] | None) -> int | None:
    """How many items an erasure took out of a set that a proof speaks of; None where anything else was done to it.

    The hashes of all items are in the manifest, and the manifest is proven: by the store's row, or else by its own hash, which it
    has again once the erasure is thought away. So the items that are left are those that were proven, and the others must be gone
    from the store.

    Args:
        store: from which they must be gone.
        uri: where the set is.
        stated: the files' hashes in the proof.
        recorded: the manifest in the store's row, which the proof holds; None for a set that is no version of the store.
    """
    try:
        written = read_version(uri, recorded)
    except StoreError:
        return None
    if not written.erased or "item_hashes" not in written.manifest or store.golden_answers.there(written.erased):
        return None
    if recorded is None:
        whole = sealed_text({**written.manifest, "files": {ROWS: stated.get(ROWS)}})
        if sha256(whole.encode()).hexdigest() != stated.get(MANIFEST):
            return None
    return len(written.erased)
