"""Where an artifact lies, by what the store's row says: a folder of this machine, or a URL below the one that is configured.

A row may have been altered: a URL from it leads to the storage that this process was told of, and nowhere else.
"""

import re
from pathlib import Path
from typing import Literal

from continuum.config import load_settings
from continuum.errors import StoreError

Kind = Literal["datasets", "checkpoints"]

NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,200}")
"""What a task, a version or a checkpoint is called where it lies."""
PART = re.compile(r"(?!\.{1,2}$)[^\x00-\x1f\x7f\\/?#%@]{1,250}")
"""A part of a URL: what would be read in two ways by two libraries is not in it."""


def is_remote(uri: str | Path) -> bool:
    """Whether an artifact lies at a URL, and not in a folder of this machine."""
    return isinstance(uri, str) and "://" in uri and not uri.startswith("file://")


def folder_at(uri: str | Path) -> Path:
    """The folder that a URI of this machine means."""
    return Path(uri.removeprefix("file://")) if isinstance(uri, str) else uri


def uri_for(kind: Kind, task: str, name: str = "") -> str:
    """Where an artifact of a task goes, or all of a kind, with CONTINUUM_ARTIFACTS_URL as it is now.

    Raises:
        StoreError: a name leads somewhere else.
    """
    if wrong := [one for one in (task, *([name] if name else [])) if not NAME.fullmatch(one)]:
        raise StoreError(f"{wrong[0]!r:.100} cannot be the name of a place; it must be letters, digits, '.', '_' or '-'")
    settings = load_settings()
    root = settings.artifacts if is_remote(settings.artifacts) else str(settings.artifacts_dir)
    return "/".join([root, kind, task, *([name] if name else [])])


def below(uri: str | Path, name: str) -> str:
    """The URI of something in an artifact's folder."""
    return f"{uri}/{name}" if is_remote(uri) else str(folder_at(uri) / name)


def above(uri: str | Path) -> str | Path:
    """The URI of the folder that something lies in."""
    return str(uri).rpartition("/")[0] if is_remote(uri) else folder_at(uri).parent


def name_of(uri: str | Path) -> str:
    """The last part of a URI."""
    return str(uri).rpartition("/")[2] if is_remote(uri) else folder_at(uri).name


def require_known(uri: str) -> str:
    """Check that a URL leads to where CONTINUUM_ARTIFACTS_URL does; returns it without a slash at its end.

    Raises:
        StoreError: it leads elsewhere, or is not written as Continuum writes one.
    """
    plain = uri.rstrip("/")
    scheme, _, rest = plain.partition("://")
    place, *parts = rest.split("/")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) or not parts or not all(PART.fullmatch(one) for one in (place, *parts)):
        raise StoreError(f"{uri!r:.200} is no place of an artifact; restore the store's row of it from a backup")
    root = load_settings().artifacts
    if f"{scheme}://{place}" != "/".join(root.split("/")[:3]):
        told = f"leads to {'/'.join(root.split('/')[:3])}" if is_remote(root) else "names no URL"
        raise StoreError(
            f"{plain} is not looked for: CONTINUUM_ARTIFACTS_URL {told} here; set it to the place that the artifact lies in, "
            "such as the one of the process that wrote it"
        )
    return plain
