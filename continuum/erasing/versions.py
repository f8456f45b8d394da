"""Erasure in the files of training sets: the rows of what was erased go, the others stay, and proofs can tell both.

A version keeps its name and its fingerprint; its manifest says under `erased` how many rows are gone and which fingerprint the
others have. What its files and its row were before stands in the store, so that a proof of them still holds. Whoever is killed
leaves the old folder or the new one, and beside it what the next attempt puts right.
"""

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from continuum.artifacts.places import folder_at, is_remote, name_of
from continuum.artifacts.publishing import change
from continuum.dataset import Dataset
from continuum.dataset_rows import fingerprint_of
from continuum.erasing.words import Taking
from continuum.errors import StoreError
from continuum.records import DatasetRecord, Example, Record

if TYPE_CHECKING:
    from continuum.store.database import Store

R = TypeVar("R", bound=Record)
BEFORE = ".before-erasure"
NEW = ".erasing"
IDENTITY = ("name", "version", "kind", "task", "fingerprint", "created_at", "files", "erased")


def erase_from_versions(
    store: "Store", tasks: Collection[str], taking: Taking, erasure_id: str
) -> tuple[dict[str, int], list[str]]:
    """Take erased rows, and quotes of them, out of the files of tasks' training sets; may be repeated at any time.

    Args:
        store: says which versions there are, and is told what each was.
        tasks: whose.
        taking: what is taken out.
        erasure_id: for the sake of which.

    Returns:
        Rows and versions that were touched, and what could not be read, in words.
    """
    done, troubles = {"versions": 0, "rows": 0}, []
    for task in tasks:
        for record in store.datasets.versions(task):
            if record.kind != "training":
                continue
            try:
                mend(record.uri)
                rows = _erase_from(store, record, taking, erasure_id)
            except (StoreError, OSError) as error:
                troubles.append(f"{record.name}: {error}")
                continue
            if rows is not None:
                done["versions"] += 1
                done["rows"] += rows
    return done, troubles


def mend(uri: str) -> None:
    """Put right what a killed erasure left beside a version's folder."""
    if is_remote(uri):
        return
    folder = folder_at(uri)
    before, new = _beside(folder)
    if not folder.exists() and (before.exists() or new.exists()):
        # Killed between the two renames: the new folder is whole, for it was before the first of them.
        (new if new.exists() else before).rename(folder)
    shutil.rmtree(new, ignore_errors=True)
    if folder.exists():
        shutil.rmtree(before, ignore_errors=True)


def _erase_from(store: "Store", record: DatasetRecord, taking: Taking, erasure_id: str) -> int | None:
    """Erase from one version; the rows that went, None where nothing in it was touched."""
    from continuum.provenance.artifact_links import hash_files
    from continuum.store.erasures import Change

    read = Dataset.read(record.uri)
    left, rows = without(read, taking)
    if left is None:
        return None
    # A control is a version of its own, whose rows lie in the same folder.
    beside = [
        one.id for one in store.datasets.versions(record.task) if one.manifest.get("config", {}).get("control_of") == record.id
    ]
    before = hash_files(record.name, record.uri)

    def noted(draft: Path) -> None:
        after = hash_files(record.name, draft)
        for one in (record.id, *beside):
            fields = {"reason": f"{rows} of its rows were erased"} if rows else {}
            store.erasures.note_change(erasure_id, "dataset", one, record.task, Change("files", before, after), **fields)

    def written(folder: Path) -> None:
        _write(folder, left)
        noted(folder)

    if is_remote(record.uri):
        change(record.uri, written)
    else:
        _replace(folder_at(record.uri), left, noted)
    return rows


def without(dataset: Dataset, taking: Taking) -> tuple[Dataset | None, int]:
    """A training set without what is taken out, and how many rows went; None where nothing in it was touched."""
    gone = taking.stones
    drawn = list(dataset.control or ())
    tables: dict[str, list[Any]] = {
        "examples": [one for one in dataset if one.interaction_id not in gone],
        "preferences": [one for one in dataset.preferences if one.interaction_id not in gone and one.rejected_id not in gone],
        "rated_answers": [one for one in dataset.rated_answers if one.interaction_id not in gone],
        "control": [one for one in drawn if one.interaction_id not in gone],
        "removed": [one for one in dataset.removed if one.interaction_id not in gone and one.kept_id not in gone],
    }
    held = {"examples": list(dataset), "preferences": dataset.preferences, "rated_answers": dataset.rated_answers}
    held |= {"control": drawn, "removed": dataset.removed}
    rows = sum(len(held[name]) - len(tables[name]) for name in tables)
    groups = _groups(tables, gone)
    changed = {name: [_amended(one, gone, groups) for one in found] for name, found in tables.items()}
    manifest = {name: taking.out_of(value) for name, value in dataset.manifest.items() if name != "files"}
    same_manifest = all(dataset.manifest[name] == value for name, value in manifest.items())
    if not rows and changed == tables and same_manifest:
        return None, 0
    examples = changed.pop("examples")
    removed = changed.pop("removed")
    fingerprint = fingerprint_of(dataset.task, dataset.manifest.get("config", {}), examples, **changed)
    already = int((dataset.manifest.get("erased") or {}).get("rows", 0))
    manifest["erased"] = {"rows": already + rows, "left": fingerprint}
    return Dataset(examples, manifest, removed=removed, **changed), rows


def _groups(tables: Mapping[str, Sequence[Any]], gone: Mapping[str, str]) -> dict[str, str]:
    """New names of groups that were called after an erased interaction: the first of those that are left."""
    named: dict[str, str] = {}
    for one in (row for found in tables.values() for row in found):
        group = getattr(one, "group", None)
        if group is not None and group in gone:
            named[group] = min(named.get(group, one.interaction_id), one.interaction_id)
    return named


def _amended(row: R, gone: Mapping[str, str], groups: Mapping[str, str]) -> R:
    values: dict[str, Any] = {}
    if (group := str(getattr(row, "group", ""))) in groups:
        values["group"] = groups[group]
    if isinstance(row, Example) and not gone.keys().isdisjoint(row.duplicates):
        values["duplicates"] = tuple(name for name in row.duplicates if name not in gone)
    return row.model_copy(update=values) if values else row


def left_of(store: "Store", dataset_id: str) -> Dataset | None:
    """A version of its own of what an erasure left of one: what a model is trained on in the place of the one before.

    It has the fingerprint that it would have had if what was erased had never been there, and the same version comes back when it
    is asked for again.

    Returns:
        The version; None where no row to train on is left.

    Raises:
        StoreError: the version is not in the store, or its files cannot be read or written.
    """
    from continuum.curation.card import write_card
    from continuum.store.learning import DatasetItem
    from continuum.store.versions import publish

    record = store.datasets.get(dataset_id)
    if record is None:
        raise StoreError(f"dataset {dataset_id} is not in the store; the models that learned from it cannot be trained again")
    read = Dataset.read(record.uri)
    if not read.split("train"):
        return None
    drawn = list(read.control or ()) if record.kind == "training" else []
    tables = {"preferences": read.preferences, "rated_answers": read.rated_answers, "control": drawn}
    config = read.manifest.get("config", {})
    if record.kind == "control":
        config = {name: value for name, value in config.items() if name != "control_of"}
    fingerprint = fingerprint_of(record.task, config, read, **tables)
    manifest = {name: value for name, value in record.manifest.items() if name not in IDENTITY}
    manifest |= {"config": config, "parents": {**manifest.get("parents", {}), "erased_from": record.id}}

    def whole(named: dict[str, Any]) -> Dataset:
        return Dataset(list(read), named, removed=read.removed, **tables)

    def write(folder: Path, named: dict[str, Any]) -> None:
        write_card(whole(named), folder)
        whole(named).write(folder)

    made = publish(
        store,
        task=record.task,
        kind="training",
        fingerprint=fingerprint,
        manifest=manifest,
        items=[
            DatasetItem(interaction_id=one.interaction_id, split=one.split, score=one.score, reason=one.reason) for one in read
        ],
        write=write,
    )
    return whole(made.manifest)


def _replace(folder: Path, left: Dataset, noted: Any) -> None:
    """Put a folder without the rows in the place of a local one."""
    before, new = _beside(folder)
    try:
        shutil.copytree(folder, new)
        _write(new, left)
        noted(new)
        folder.rename(before)
        new.rename(folder)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written anew ({error}); make room, and do it again") from error
    shutil.rmtree(before, ignore_errors=True)
    if before.exists():
        raise StoreError(f"{before}, with the rows that were erased, cannot be deleted; see who may write there")


def _write(folder: Path, left: Dataset) -> None:
    from continuum.curation.card import CARD, write_card

    if (folder / CARD).is_file():
        shutil.rmtree(folder / "plots", ignore_errors=True)
        write_card(left, folder)
    left.write(folder)


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{name_of(folder)}{BEFORE}"), folder.with_name(f".{name_of(folder)}{NEW}")
