"""Publishing a dataset version: the files first, complete and under their final name, then the store's row.

A crash between the two leaves files that nothing refers to, never a row without files. The same, published again, takes them up.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from continuum.artifacts.copies import is_there
from continuum.artifacts.places import folder_at, is_remote, name_of, uri_for
from continuum.artifacts.publishing import remove, upload
from continuum.config import load_settings
from continuum.dataset import MANIFEST
from continuum.errors import StoreError
from continuum.ids import new_id
from continuum.records import DatasetRecord
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.learning import DatasetItem

Kind = Literal["training", "golden"]
Write = Callable[[Path, dict[str, Any]], object]
"""Writes a version's files into a new folder, given the manifest that names it."""


def publish(
    store: "Store",
    *,
    task: str,
    kind: Kind,
    fingerprint: str,
    manifest: dict[str, Any],
    items: Iterable["DatasetItem"],
    write: Write,
    now: Callable[[], datetime] = utc_now,
) -> DatasetRecord:
    """Store a version under the next free number; content that is already stored keeps the version it has.

    Args:
        store: where the row goes; the files go below CONTINUUM_ARTIFACTS_URL.
        task: whose data it is.
        kind: training or golden.
        fingerprint: the content's hash: the version's id.
        manifest: gets `name`, `version`, `kind`, `task`, `fingerprint` and `created_at` added.
        items: who is in it.
        write: writes the files.
        now: the clock.

    Raises:
        StoreError: the files cannot be written.
    """
    known = store.datasets.get(fingerprint)
    if known is not None:
        if not is_there(known.uri):
            _place(known.uri, known.manifest, write)
        return known
    members = list(items)
    for version in count(store.datasets.next_version(task, kind)):
        name = f"{task}_{kind}_v{version}"
        uri = uri_for("datasets", task, name)
        created_at = now()
        identity = {"name": name, "version": version, "kind": kind, "task": task, "fingerprint": fingerprint}
        full = manifest | identity | {"created_at": created_at.isoformat()}
        # Another process may take the number at any moment, on disk or in the store; the next one is as good.
        if store.datasets.get(name) is not None:
            continue
        mine = _place(uri, full, write)
        if not mine:
            left = _left_there(uri)
            if left.get("fingerprint") != fingerprint or not full.keys() <= left.keys():
                continue
            # Whoever wrote the same was killed, or lost the store, before the row; or is about to write it: it will be one row.
            # What only the files hold, such as their own seal, is no part of the row.
            full, created_at = {field: left[field] for field in full}, datetime.fromisoformat(left["created_at"])
        record = DatasetRecord(
            id=fingerprint,
            task=task,
            kind=kind,
            name=name,
            version=version,
            uri=uri,
            manifest=full,
            created_at=created_at,
        )
        stored = store.datasets.add(record, members)
        if store.datasets.get(fingerprint) is not None:
            if mine and stored.name != name:
                _take_back(uri)
            return stored
        if mine:
            _take_back(uri)
    raise AssertionError("unreachable: there is always a next number")


def _place(uri: str, manifest: dict[str, Any], write: Write) -> bool:
    """Write the files aside and move them to their place in one step; False when something is there already."""
    remote = is_remote(uri)
    folder = load_settings().datasets_dir / name_of(uri) if remote else folder_at(uri)
    unfinished = folder.parent / f".{folder.name}.{new_id()}"
    try:
        unfinished.mkdir(parents=True)
        write(unfinished, manifest)
        if remote:
            return upload(unfinished, uri)
        unfinished.rename(folder)
    except OSError as error:
        if not remote and is_there(folder.parent) and folder.exists():
            return False
        raise StoreError(
            f"the files of {folder.name} cannot be written into {folder.parent} ({error}); let this user write there, make room, "
            "or name another CONTINUUM_HOME"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _left_there(uri: str) -> dict[str, Any]:
    """The manifest of a version that is in the way; empty where it has none that can be read here."""
    if is_remote(uri):
        return {}
    try:
        found = json.loads((folder_at(uri) / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _take_back(uri: str) -> None:
    """Delete the files of a version that got no row."""
    if is_remote(uri):
        remove(uri)
    else:
        # Out of the way in one step: a folder that is being emptied is one that another may be moved over.
        folder = folder_at(uri)
        aside = folder.with_name(f".{folder.name}.{new_id()}")
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
