"""What each artifact of a proof is, as it stands now: taken once when the proof is made, and again whenever it is checked.

Every byte is read each time; no hash is remembered. A row is looked up by the name that the proof gives it and taken to the
byte, so that an altered row is named and never read as a record.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.artifacts.copies import is_there, local
from continuum.artifacts.listing import LISTING
from continuum.artifacts.places import above, folder_at, is_remote, name_of, uri_for
from continuum.config import load_settings
from continuum.errors import ProofBroken, StoreError
from continuum.provenance.artifacts import MANIFEST, files_of, sha256_of
from continuum.provenance.proof import Link, Proof, read_proof
from continuum.provenance.revisions import hash_base, revision_of

if TYPE_CHECKING:
    from sqlalchemy import Table

    from continuum.store.database import Store

RESTORE = "restore it from a backup"


def dataset_content(store: "Store", title: str, dataset_id: str, *, link: Link | None = None) -> dict[str, Any]:
    """A dataset version: its row, its files and its members; with a link, its row must be the one that the link says."""
    from continuum.store.exact import digest_of, exact_rows
    from continuum.store.tables import dataset_items, datasets

    row = row_of(store, title, datasets, dataset_id, link)
    with store.engine.connect() as connection:
        members = exact_rows(connection, dataset_items, dataset_items.c.dataset_id, [dataset_id])
    return {
        "id": dataset_id,
        "row": digest_of(row),
        "files": hash_files(title, dataset_folder(row)),
        "members": digest_of(members),
    }


def kept_uri(task: str, fingerprint: str) -> str:
    """Where the copy of a golden set lies that is no version of the store."""
    name = f"{task}_golden_{fingerprint[:12]}"
    # One that was kept before CONTINUUM_ARTIFACTS_URL led elsewhere stays where it is.
    before = load_settings().datasets_dir / task / name
    return str(before) if before.is_dir() else uri_for("datasets", task, name)


def member_ids(store: "Store", dataset_id: str) -> set[str]:
    """Ids of the interactions that the store has as members of a dataset."""
    from continuum.store.exact import exact_rows
    from continuum.store.tables import dataset_items

    with store.engine.connect() as connection:
        rows = exact_rows(connection, dataset_items, dataset_items.c.dataset_id, [dataset_id])
    return {row["interaction_id"] for row in rows}


def base_content(base_model: str) -> dict[str, Any]:
    """A base model: its files; none where they are not on this machine."""
    files = hash_base(base_model)
    return {"revision": revision_of(files), "files": files}


def checkpoint_content(
    store: "Store", title: str, checkpoint_id: str, *, verdict: str | None, proven: bool, link: Link | None = None
) -> dict[str, Any]:
    """A checkpoint: its row and its files.

    Args:
        store: where its row is.
        title: of the link, for errors.
        checkpoint_id: which.
        verdict: whose proof is meant; the newest, when left out.
        proven: whether the proof of a verdict on it belongs to it, as for what a candidate was continued from.
        link: where there is one, the row must be the one that it says.
    """
    from continuum.store.exact import digest_of
    from continuum.store.tables import checkpoints, verdicts

    row = row_of(store, title, checkpoints, checkpoint_id, link)
    uri = str(row.get("uri", ""))
    gone = store.erasures.artifact("checkpoint", checkpoint_id)
    # Of weights that an erasure deleted nothing may be there; whatever is there again is hashed, and is not what was proven.
    deleted = gone is not None and gone.after.get("files") == {} and not weights_in(uri)
    files = {} if deleted else hash_checkpoint(title, uri)
    content: dict[str, Any] = {"id": checkpoint_id, "row": digest_of(row), "files": files}
    proof = _own_proof(title, uri, verdict) if proven else None
    if proof is not None:
        said = row_of(store, f"verdict {proof.verdict_id}", verdicts, proof.verdict_id)
        content["proof"] = {"verdict": proof.verdict_id, "head": proof.head, "row": digest_of(said)}
    return content


def verdict_content(store: "Store", title: str, verdict_id: str, *, link: Link | None = None) -> dict[str, Any]:
    """A verdict: its whole row; with a link, it must be the one that the link says."""
    from continuum.store.exact import digest_of
    from continuum.store.tables import verdicts

    return {"id": verdict_id, "row": digest_of(row_of(store, title, verdicts, verdict_id, link))}


def as_stated(store: "Store", kind: str, id: str, part: str, stated: Any, now: Any) -> bool:
    """Whether a part of an artifact is what a proof states, or what an erasure made of that: the store has written down both.

    Args:
        store: knows of erasures.
        kind: of the link.
        id: the artifact's.
        part: `row`, `files` or `members`.
        stated: as the proof has it.
        now: as it is.
    """
    if stated == now:
        return True
    known = "dataset" if kind == "golden dataset" else kind
    if known not in ("dataset", "verdict", "checkpoint"):
        return False
    change = store.erasures.artifact(known, id)
    # A proof that was made between two erasures states what the first one left.
    return change is not None and change.after.get(part) == now and stated in (change.before.get(part), *change.between(part))


def weights_in(uri: str) -> list[str]:
    """Names of an adapter's own files, as far as there are any."""
    if is_remote(uri):
        return [LISTING] if is_there(uri) else []
    return files_of(folder_at(uri)) if is_there(uri) else []


def less_erased(store: "Store", link: Link, now: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """What a link's artifact is now, with what an erasure did to it thought away; and whether one did anything."""
    stated, erased = link.content, False
    for part in ("files", "members"):
        if stated.get(part) == now.get(part):
            continue
        if as_stated(store, link.kind, str(stated.get("id")), part, stated.get(part), now.get(part)):
            now, erased = now | {part: stated.get(part)}, True
        elif part == "files" and now.get(part):
            # So that the file is named which is not as the erasure left it, and not one that the erasure changed.
            now = now | {part: _files_less_erased(store, link, now[part])}
    proven, found = stated.get("proof"), now.get("proof")
    if not proven or not found or {**proven, "row": None} != {**found, "row": None}:
        return now, erased
    if proven != found and as_stated(store, "verdict", str(proven.get("verdict")), "row", proven.get("row"), found.get("row")):
        now, erased = now | {"proof": proven}, True
    return now, erased


def _files_less_erased(store: "Store", link: Link, now: dict[str, str]) -> dict[str, str]:
    """The hashes of files, those as they were proven that are as an erasure left them."""
    change = store.erasures.artifact("dataset", str(link.content.get("id"))) if link.kind == "dataset" else None
    stated: dict[str, str] = link.content.get("files", {})
    left: dict[str, str] = change.after.get("files", {}) if change is not None else {}
    as_left = {name: stated[name] for name in stated if change is not None and now.get(name) == left.get(name)}
    return now | as_left


def require_same(link: Link, now: dict[str, Any]) -> None:
    """Check that an artifact still is what a link says.

    Raises:
        ProofBroken: the message names the file, or what else is not as it was.
    """
    stated, kept = link.content, f"{RESTORE}, or guard the model again"
    files, there = stated.get("files", {}), now.get("files", {})
    for name in sorted(files):
        if name not in there:
            raise ProofBroken(link.title, f"the file {name} of {link.name} is missing; {RESTORE}")
        if files[name] != there[name]:
            raise ProofBroken(link.title, f"the file {name} of {link.name} was altered after it was proven; {RESTORE}")
    if link.kind in ("checkpoint", "base model") and files and (added := sorted(there.keys() - files.keys())):
        raise ProofBroken(link.title, f"the file {added[0]} was added to {link.name} after it was proven; remove it")
    if stated.get("members") != now.get("members"):
        raise ProofBroken(link.title, f"the store's rows of who is in {link.name} were altered after it was proven; {RESTORE}")
    _require_same_proof(link, stated.get("proof"), now.get("proof"), kept)


def _require_same_proof(link: Link, stated: Any, now: Any, kept: str) -> None:
    if stated == now or stated is None:
        return
    if now is None or stated.get("head") != now.get("head"):
        missing = "is missing" if now is None else "was altered after it was proven"
        raise ProofBroken(link.title, f"the proof of its verdict {stated.get('verdict')} {missing}; {kept}")
    raise ProofBroken(
        link.title, f"the store's row of verdict {stated.get('verdict')} was altered after it was proven; {RESTORE}"
    )


def _own_proof(title: str, uri: str, verdict: str | None) -> Proof | None:
    try:
        return read_proof(uri, verdict)
    except ProofBroken as error:
        raise ProofBroken(title, f"the proof in {uri} does not hold: {error}") from error


# --- rows and files --------------------------------------------------------------------------------------------------


def row_of(store: "Store", title: str, table: "Table", id: str, link: Link | None = None) -> dict[str, Any]:
    """A row of the store, to the byte.

    Raises:
        ProofBroken: it is not there, or not what the link says; before anything is looked for where an altered row points to.
    """
    from continuum.store.exact import digest_of, exact_rows

    with store.engine.connect() as connection:
        rows = exact_rows(connection, table, table.c.id, [id])
    if not rows:
        raise ProofBroken(
            title, f"its row {id} is not in the store's {table.name}: it was removed, or its id was altered; {RESTORE}"
        )
    if link is not None and not as_stated(store, link.kind, id, "row", link.content.get("row"), digest_of(rows[0])):
        raise ProofBroken(title, f"the store's row of {link.kind} {link.name} was altered after it was proven; {RESTORE}")
    return rows[0]


def dataset_folder(row: dict[str, Any]) -> str:
    """Where a dataset's files lie; a control's lie in the folder of the version it stands beside."""
    uri = str(row.get("uri", ""))
    return str(above(uri)) if name_of(uri) == "control.parquet" else uri


def hash_checkpoint(title: str, uri: str | Path) -> dict[str, str]:
    """sha256 of an adapter's files and of its manifest."""
    folder = _local(title, uri)
    if not (folder / MANIFEST).is_file():
        raise ProofBroken(title, f"{folder / MANIFEST} is missing; {RESTORE}")
    return _hashed(title, folder, [*files_of(folder), MANIFEST])


def hash_files(title: str, uri: str | Path) -> dict[str, str]:
    """sha256 of every file in an artifact's folder."""
    folder = _local(title, uri)
    if not folder.is_dir():
        raise ProofBroken(title, f"its folder {folder} is missing; {RESTORE}")
    return _hashed(title, folder, sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))


def _local(title: str, uri: str | Path) -> Path:
    try:
        return local(uri)
    except StoreError as error:
        raise ProofBroken(title, str(error)) from error


def _hashed(title: str, folder: Path, names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = sha256_of(folder / name)
        except OSError as error:
            raise ProofBroken(title, f"{folder / name} cannot be read ({error.strerror}); {RESTORE}") from error
    return found
