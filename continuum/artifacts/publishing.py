"""Putting an artifact where others find it: its files first, then the listing that makes them one.

Whoever is killed on the way leaves objects that no listing names: they count for nothing, and are deleted a day later by whoever
publishes an artifact of the same task.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from continuum.artifacts import copies
from continuum.artifacts.listing import LISTING, OBJECTS, Entry, Listing, hashes_of
from continuum.artifacts.places import Kind, above, folder_at, is_remote, require_known, uri_for
from continuum.artifacts.storage import Listed, Storage, open_storage
from continuum.config import load_settings
from continuum.errors import StoreError
from continuum.ids import new_id
from continuum.timespan import utc_now

logger = logging.getLogger(__name__)

T = TypeVar("T")
LEFTOVER = timedelta(days=1)
"""An object without a listing that is this old belongs to a process that was killed: no file takes as long to upload."""


def publish(folder: Path, kind: Kind, task: str, name: str) -> str:
    """Put a finished artifact where CONTINUUM_ARTIFACTS_URL says; the same one may be published again.

    Args:
        folder: its files; with artifacts in a folder of this machine it stays where it is.
        kind: what it is.
        task: whose.
        name: what it is called among those of its kind and task.

    Returns:
        Its URI, for the store.

    Raises:
        StoreError: the storage does not take it, or has another one of this name.
        MissingExtra: the library that reaches the storage is not installed.
    """
    if not is_remote(load_settings().artifacts):
        return str(folder)
    uri = uri_for(kind, task, name)
    if not upload(folder, uri):
        raise StoreError(f"{uri} holds another artifact already; move that one away, and do it again")
    return uri


def upload(folder: Path, uri: str, *, now: Callable[[], datetime] = utc_now) -> bool:
    """Put a folder's files at a URL; False where another artifact is there.

    Args:
        folder: the files; nobody may write to them meanwhile. They are kept as this machine's copy.
        uri: where they go.
        now: the clock, against which leftovers are old.

    Raises:
        StoreError: the storage does not take them; what was sent counts for nothing.
    """
    uri = require_known(uri)
    storage = open_storage(uri)
    hashes = hashes_of(folder)
    there = storage.read(f"{uri}/{LISTING}")
    if there is not None:
        return Listing.from_bytes(uri, there.data).is_of(hashes)
    listing = Listing(_sent(storage, folder, uri, hashes))
    if not storage.create(f"{uri}/{LISTING}", listing.to_bytes()):
        _delete(storage, uri, (one.object for one in listing.files.values()))
        there = storage.read(f"{uri}/{LISTING}")
        return there is not None and Listing.from_bytes(uri, there.data).is_of(hashes)
    copies.keep(folder, uri, listing)
    _sweep(storage, str(above(uri)), now() - LEFTOVER)
    return True


def change(uri: str | Path, edit: Callable[[Path], T], *, now: Callable[[], datetime] = utc_now) -> T:
    """Have a folder's files changed in place: those of a URL in a copy, which then takes the place of what is there in one step.

    Args:
        uri: the artifact.
        edit: changes the folder that it is given; called again where somebody else has changed the artifact meanwhile.
        now: the clock, against which leftovers are old.

    Raises:
        StoreError: the artifact cannot be read, or not be written.
    """
    if not is_remote(uri):
        return edit(folder_at(uri))
    plain = require_known(str(uri))
    storage = open_storage(plain)
    while True:
        copy, listing, tag = copies.current(storage, plain)
        with copies.changed_copy(plain, copy) as draft:
            # Another process of this machine may have changed it meanwhile, and deleted the copy of what was before.
            if draft is None:
                continue
            made = edit(draft)
            if _replaced(storage, plain, draft, listing, tag):
                break
    _sweep(storage, str(above(plain)), now() - LEFTOVER)
    return made


def remove(uri: str) -> None:
    """Delete an artifact at a URL: from the first step on there is none."""
    uri = require_known(uri)
    storage = open_storage(uri)
    storage.delete(f"{uri}/{LISTING}")
    for one in storage.walk(uri):
        storage.delete(one.url)
    copies.forget(uri)


def withdraw(uri: str) -> bool:
    """Delete an artifact's files at a URL and the copies of them here; what lies beside it, such as proofs, stays.

    Returns:
        Whether there was one.
    """
    uri = require_known(uri)
    storage = open_storage(uri)
    there = storage.read(f"{uri}/{LISTING}") is not None
    storage.delete(f"{uri}/{LISTING}")
    for one in list(storage.walk(f"{uri}/{OBJECTS}")):
        storage.delete(one.url)
    copies.forget(uri)
    return there


def _sent(storage: Storage, folder: Path, uri: str, hashes: dict[str, str]) -> dict[str, Entry]:
    """Upload files as objects of an upload of their own."""
    sent, mark = dict[str, Entry](), new_id()
    for number, (path, digest) in enumerate(sorted(hashes.items())):
        entry = Entry(digest, (folder / path).stat().st_size, f"{mark}-{number}")
        storage.put_file(f"{uri}/{OBJECTS}/{entry.object}", folder / path, digest)
        sent[path] = entry
    return sent


def _replaced(storage: Storage, uri: str, draft: Path, before: Listing, tag: str) -> bool:
    """Have a changed folder take the place of an artifact; False where that is no longer what it was."""
    hashes = hashes_of(draft)
    kept = {path: one for path, one in before.files.items() if hashes.get(path) == one.sha256}
    new = _sent(storage, draft, uri, {path: digest for path, digest in hashes.items() if path not in kept})
    files = kept | new
    if files == before.files and not before.retired:
        return True
    over = {one.object for one in before.files.values()} - {one.object for one in files.values()}
    # Named until they are gone: whoever is killed in between leaves it to the next to delete them.
    after = Listing(files, tuple(sorted(over.union(before.retired))))
    if after.to_bytes() != before.to_bytes() and not storage.swap(f"{uri}/{LISTING}", after.to_bytes(), tag):
        _delete(storage, uri, (one.object for one in new.values()))
        return False
    _delete(storage, uri, after.retired)
    written = storage.read(f"{uri}/{LISTING}")
    if written is not None and written.data == after.to_bytes():
        storage.swap(f"{uri}/{LISTING}", Listing(files).to_bytes(), written.tag)
    copies.forget(uri)
    copies.keep(draft, uri, after)
    return True


def _delete(storage: Storage, uri: str, objects: Iterable[str]) -> None:
    for name in objects:
        storage.delete(f"{uri}/{OBJECTS}/{name}")


def _sweep(storage: Storage, place: str, before: datetime) -> None:
    """Delete what killed uploads have left below a place."""
    try:
        found: dict[str, list[Listed]] = {}
        for one in storage.walk(place):
            found.setdefault(one.url.removeprefix(f"{place}/").partition("/")[0], []).append(one)
        for name, objects in found.items():
            _sweep_artifact(storage, f"{place}/{name}", objects, before)
    except StoreError as error:
        # What was published is there, whether or not this succeeds.
        logger.warning("what killed uploads may have left at %s is not deleted: %s", place, error)


def _sweep_artifact(storage: Storage, uri: str, objects: Sequence[Listed], before: datetime) -> None:
    complete = any(one.url == f"{uri}/{LISTING}" for one in objects)
    uploads = {one.url.rpartition("-")[0] for one in objects if one.url.startswith(f"{uri}/{OBJECTS}/")}
    # Of a single upload that was completed nothing can be left over; one that goes on has objects that are young.
    if (complete and len(uploads) <= 1) or (not complete and max(one.changed_at for one in objects) > before):
        return
    stored = storage.read(f"{uri}/{LISTING}")
    if (stored is not None) != complete:
        return
    named = {f"{uri}/{OBJECTS}/{one.object}" for one in Listing.from_bytes(uri, stored.data).files.values()} if stored else set()
    for one in objects:
        if one.changed_at <= before and one.url not in named and (stored is None or one.url.startswith(f"{uri}/{OBJECTS}/")):
            storage.delete(one.url)
