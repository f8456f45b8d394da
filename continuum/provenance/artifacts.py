"""The folder of a trained adapter: what lies in it, and the check that it is still what was written.

Training writes the manifest last, so its presence means the artifact is complete. Whoever loads one verifies it first.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from continuum.artifacts.copies import local
from continuum.artifacts.places import below
from continuum.errors import StoreError
from continuum.provenance.plain_files import require_no_pickle

MANIFEST = "manifest.json"
BESIDE = re.compile(r"(manifest\.json|proof(-[0-9A-Za-z_-]+)?\.json)(\.part)?")
"""Files in the folder that are not the artifact's own: its manifest, and the proofs of the verdicts on it."""


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> dict[str, str]:
    """Hash every file of a finished artifact and write the manifest; returns file name to sha256."""
    files = {name: sha256_of(folder / name) for name in files_of(folder)}
    unfinished = folder / (MANIFEST + ".part")
    unfinished.write_text(json.dumps({"files": files}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    unfinished.replace(folder / MANIFEST)
    return files


def verify_artifact(folder: str | Path, expected: Mapping[str, str] | None = None) -> dict[str, str]:
    """Check that the artifact is complete, that no file was altered, removed or added since, and that none is a pickle.

    Args:
        folder: the artifact, as a path or as the store's row has it.
        expected: the manifest that the store holds for it; with it, a folder whose own manifest was rewritten is refused too.

    Returns:
        File name to sha256.

    Raises:
        StoreError: the message names the first file that is not as it was.
    """
    path = local(folder)
    if not (path / MANIFEST).is_file():
        raise StoreError(f"{folder} holds no complete artifact: {MANIFEST} is missing; train it again")
    try:
        written: dict[str, str] = dict(json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{below(folder, MANIFEST)} cannot be read as a manifest; restore the artifact from a backup") from error
    if expected is not None and dict(expected) != written:
        raise StoreError(
            f"{below(folder, MANIFEST)} is not the manifest that the store holds; restore the artifact from a backup"
        )
    present = set(files_of(path))
    for name in sorted(written):
        if name not in present:
            raise StoreError(f"{below(folder, name)} is missing; restore the artifact from a backup")
        if sha256_of(path / name) != written[name]:
            raise StoreError(f"{below(folder, name)} was altered after it was written; restore the artifact from a backup")
    if unknown := sorted(present - written.keys()):
        raise StoreError(f"{below(folder, unknown[0])} is not part of the artifact; remove it")
    # A manifest vouches for what was written, not for what whoever wrote it put in.
    require_no_pickle(path)
    return written


def files_of(folder: Path) -> list[str]:
    """Names of the files that an artifact consists of, sorted; what lies beside them is not among them."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not BESIDE.fullmatch(name))
