"""This machine's copies of artifacts that lie at a URL: fetched once, verified each time, and the longest unused deleted first.

    CONTINUUM_HOME/artifacts/<hash of the URL>/<hash of the files>/   a copy
                                              /lock                  held by who changes what lies beside it
                                              /.draft-...            what is being fetched

The listing is asked for each time, so that what was changed or deleted elsewhere is never taken from a copy. A copy in which a
byte is wrong is mended file by file.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG

from continuum.artifacts.listing import HASH, LISTING, MENDING, OBJECTS, Entry, Listing, hash_of
from continuum.artifacts.places import Kind, folder_at, is_remote, require_known, uri_for
from continuum.artifacts.storage import Storage, no_room, open_storage
from continuum.config import load_settings, make_private
from continuum.errors import StoreError
from continuum.ids import new_id

LOCK = "lock"
DRAFT = ".draft-"
CHANGE = ".change-"
IN_USE_S = 3600.0
"""A copy that was asked for less long ago is not deleted: somebody may be reading it."""
UNUSED_S = 30 * 86400.0
"""A copy that nobody asked for in this long is deleted, however much room there is: what was erased is not in it for ever."""


def local(uri: str | Path) -> Path:
    """The folder of an artifact on this machine, for reading.

    Args:
        uri: as the store has it. A plain path is itself; of a URL it is a copy, fetched if need be, whose every byte is verified.

    Raises:
        StoreError: there is no such artifact, or not the one that was published, or it cannot be fetched.
        MissingExtra: the library that reaches the storage is not installed.
    """
    if not is_remote(uri):
        return folder_at(uri)
    plain = require_known(str(uri))
    return current(open_storage(plain), plain)[0]


def is_there(uri: str | Path) -> bool:
    """Whether an artifact is where it should be; nothing is fetched.

    Raises:
        StoreError: nobody can tell, because it cannot be looked for.
    """
    if is_remote(uri):
        plain = require_known(str(uri))
        return open_storage(plain).read(f"{plain}/{LISTING}") is not None
    folder = folder_at(uri)
    try:
        return folder.is_dir()
    except OSError as error:
        raise StoreError(f"{folder} cannot be looked for ({error}); let this user read the folders above it") from error


def published(kind: Kind, task: str) -> list[str]:
    """URIs of all artifacts of a kind and a task that lie in this home and where CONTINUUM_ARTIFACTS_URL says, rows or no rows.

    Raises:
        StoreError: they cannot be listed.
    """
    root = uri_for(kind, task)
    here = sorted(str(path.parent) for path in (load_settings().artifacts_dir / kind / task).glob("[!.]*/manifest.json"))
    if not is_remote(root):
        return here
    names = (one.url.removeprefix(f"{root}/") for one in open_storage(root).walk(root))
    return here + sorted(f"{root}/{name.partition('/')[0]}" for name in names if name.partition("/")[2] == LISTING)


def current(storage: Storage, uri: str) -> tuple[Path, Listing, str]:
    """The copy of an artifact as it is now, its listing, and what `Storage.swap` knows that by."""
    while True:
        stored = storage.read(f"{uri}/{LISTING}")
        if stored is None:
            raise StoreError(
                f"{uri} holds no complete artifact: {LISTING} is missing; publish it again, or {MENDING}: and look at "
                "CONTINUUM_ARTIFACTS_URL, should it lie elsewhere"
            )
        listing = Listing.from_bytes(uri, stored.data)
        copy = _place(uri) / listing.digest
        try:
            with _locked(uri, fcntl.LOCK_SH):
                there = copy.is_dir()
                if there:
                    _mark_used(copy)
            if not there or _wrong(copy, listing):
                _fetch(storage, uri, copy, listing)
                sweep()
        except StoreError:
            # An erasure may have put other files in the place of these at this moment.
            now = storage.read(f"{uri}/{LISTING}")
            if now is not None and now.data != stored.data:
                continue
            raise
        return copy, listing, stored.tag


def keep(folder: Path, uri: str, listing: Listing) -> None:
    """Keep a folder that was published as this machine's copy; that there is no room for one is no error."""
    copy = _place(uri) / listing.digest
    draft = copy.with_name(f"{DRAFT}{new_id()}")
    try:
        with _locked(uri, fcntl.LOCK_EX):
            shutil.copytree(folder, draft, copy_function=_link)
            if not copy.exists():
                draft.rename(copy)
                _mark_used(copy)
    except (OSError, StoreError):
        # It is fetched when it is asked for.
        pass
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def forget(uri: str) -> None:
    """Delete this machine's copies of an artifact, whoever may be reading them."""
    with _locked(uri, fcntl.LOCK_EX):
        for folder in _folders(_place(uri)):
            # In one step, so that nobody reads the half of one.
            gone = folder.with_name(f"{DRAFT}{new_id()}")
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def changed_copy(uri: str, copy: Path) -> Iterator[Path | None]:
    """A copy of a copy that may be written to, for a while, or None where that is gone; what killed processes leave is swept.

    Raises:
        StoreError: there is no room for it.
    """
    place = load_settings().artifact_copies_dir / f"{CHANGE}{new_id()}"
    draft = place / f"{DRAFT}files"
    try:
        try:
            with _locked(uri, fcntl.LOCK_SH):
                there = copy.is_dir()
                if there:
                    shutil.copytree(copy, draft, copy_function=shutil.copyfile)
                    _mark_used(draft)
        except (OSError, shutil.Error) as error:
            raise StoreError(f"{copy} cannot be copied to be changed ({error}); make room, and do it again") from error
        yield draft if there else None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep(*, at: float | None = None) -> int:
    """Delete copies that nobody has asked for in long, and of the others the longest unused until they fit the room there is.

    Args:
        at: seconds since 1970; now, when left out.

    Returns:
        How many copies were deleted. None is that was asked for within the last hour.
    """
    settings = load_settings()
    at = time.time() if at is None else at
    copies: list[tuple[float, int, Path]] = []
    for place in _folders(settings.artifact_copies_dir):
        for copy in _folders(place):
            # What somebody else keeps in a folder of this name is not ours to delete.
            ours = (HASH.fullmatch(place.name) or place.name.startswith(CHANGE)) and (
                HASH.fullmatch(copy.name) or _is_draft(copy)
            )
            with suppress(OSError):
                copies += [(copy.stat().st_mtime, _size(copy), copy)] if ours else []
    total, deleted = sum(size for _, size, _ in copies), 0
    for used, size, copy in sorted(copies):
        newer = any(other.parent == copy.parent and when > used and not _is_draft(other) for when, _, other in copies)
        superfluous = newer or _is_draft(copy) or total > settings.artifacts_max_bytes or at - used > UNUSED_S
        if superfluous and _deleted(copy, at):
            total, deleted = total - size, deleted + 1
    return deleted


def _deleted(copy: Path, at: float) -> bool:
    """Delete a copy that nobody uses; False where somebody does."""
    gone = copy.with_name(f"{DRAFT}{new_id()}")
    with suppress(OSError, StoreError), _lock_on(copy.parent, fcntl.LOCK_EX | fcntl.LOCK_NB):
        if at - copy.stat().st_mtime < IN_USE_S:
            return False
        copy.rename(gone)
    if not gone.exists():
        return False
    shutil.rmtree(gone, ignore_errors=True)
    if copy.parent.name.startswith(CHANGE):
        shutil.rmtree(copy.parent, ignore_errors=True)
    return True


def _mark_used(copy: Path) -> None:
    # In a home that somebody else owns copies are only read, and go when their owner sweeps them.
    with suppress(OSError):
        os.utime(copy)


def _fetch(storage: Storage, uri: str, copy: Path, listing: Listing) -> None:
    """Fetch a copy, or what is wrong in it; one process at a time."""
    with _locked(uri, fcntl.LOCK_EX):
        for left in _folders(copy.parent):
            # Nobody else has the lock: whoever was writing it was killed.
            if _is_draft(left):
                shutil.rmtree(left, ignore_errors=True)
        _require_room(copy.parent, listing)
        draft = copy.with_name(f"{DRAFT}{new_id()}")
        try:
            draft.mkdir()
            if copy.is_dir():
                _mend(storage, uri, copy, listing, draft)
            else:
                for path, entry in listing.files.items():
                    _take(storage, uri, path, entry, _nested(draft, path))
                draft.rename(copy)
            _mark_used(copy)
        except OSError as error:
            raise no_room(draft / LISTING, error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _mend(storage: Storage, uri: str, copy: Path, listing: Listing, draft: Path) -> None:
    """Put each wrong file right in one step, so that whoever reads the others finds them."""
    for number, path in enumerate(sorted(_wrong(copy, listing))):
        place = copy / path
        if path in listing.files:
            _take(storage, uri, path, listing.files[path], draft / str(number))
            _make_way(copy, path)
            (draft / str(number)).replace(_nested(copy, path))
        else:
            # It may have gone with the folder that it was in.
            with suppress(FileNotFoundError, NotADirectoryError):
                place.unlink()


def _make_way(copy: Path, path: str) -> None:
    """Remove what keeps a file from having its name: a folder in its place, or a file in the place of its folder."""
    place = copy / path
    for above in [copy.joinpath(*place.relative_to(copy).parts[:depth]) for depth in range(1, len(Path(path).parts))]:
        if above.is_symlink() or above.is_file():
            above.unlink()
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)


def _take(storage: Storage, uri: str, path: str, entry: Entry, target: Path) -> None:
    """Fetch a file and make sure that it is the one that was published."""
    if storage.fetch(f"{uri}/{OBJECTS}/{entry.object}", target, entry.size) != entry.sha256:
        raise StoreError(
            f"{uri}: the file {path!r} was altered after it was published, its bytes have another hash than {LISTING} says; "
            f"{MENDING}"
        )


def _nested(folder: Path, path: str) -> Path:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _wrong(copy: Path, listing: Listing) -> set[str]:
    """Paths of files that are missing, altered or too many in a copy."""
    wrong = set[str]()
    for path, entry in listing.files.items():
        place = copy / path
        try:
            fits = not place.is_symlink() and place.stat().st_size == entry.size and hash_of(place) == entry.sha256
        except OSError:
            fits = False
        if not fits:
            wrong.add(path)
    with suppress(OSError):
        for place in copy.rglob("*"):
            name = place.relative_to(copy).as_posix()
            if name not in listing.files and (place.is_symlink() or not place.is_dir()):
                wrong.add(name)
    return wrong


def _require_room(place: Path, listing: Listing) -> None:
    free = shutil.disk_usage(place).free
    if listing.size > free:
        raise StoreError(
            f"{place} has room for {free} bytes and the artifact takes {listing.size}; make room, or name a CONTINUUM_HOME on a "
            "larger disk"
        )


def _place(uri: str) -> Path:
    return load_settings().artifact_copies_dir / sha256(uri.encode()).hexdigest()


@contextmanager
def _locked(uri: str, how: int) -> Iterator[None]:
    place = _place(uri)
    try:
        make_private(place)
    except OSError as error:
        raise no_room(place / LOCK, error) from error
    with _lock_on(place, how):
        yield


@contextmanager
def _lock_on(place: Path, how: int) -> Iterator[None]:
    try:
        descriptor = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise no_room(place / LOCK, error) from error
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return []


def _is_draft(folder: Path) -> bool:
    return folder.name.startswith(DRAFT)


def _size(folder: Path) -> int:
    """Bytes of the files below a folder; those that go away meanwhile count for nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            about = path.lstat()
            total += about.st_size if S_ISREG(about.st_mode) else 0
    return total


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
