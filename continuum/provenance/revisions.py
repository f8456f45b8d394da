"""Which weights a base model's name stood for when an adapter was trained on it.

An adapter is a difference: on other weights of the same name it is noise. The revision of a local folder is a hash over the
files that make the model; that of a hub id is the commit in the local cache. Nothing here asks the network.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from continuum.artifacts.copies import local
from continuum.errors import ConfigurationError
from continuum.provenance.artifacts import sha256_of

TRAINING_FILE = "training.json"
MODEL_FILES = {".json", ".safetensors", ".jinja", ".model", ".tiktoken"}
"""Endings of the files that a model consists of: configuration, weights, chat template, tokenizer."""
VOCABULARIES = {"merges.txt", "vocab.txt"}
TEMPLATES = "additional_chat_templates"


def base_revision(base_model: str | Path) -> str:
    """What tells one state of a base model from another, or nothing where that cannot be known here.

    Args:
        base_model: a local folder, or a hub id.

    Returns:
        For a folder, the sha256 over the names and hashes of its model files; for a hub id the commit of the snapshot in the
        local cache; empty where there is neither.
    """
    folder = Path(base_model)
    if not folder.is_dir():
        return _cached_commit(str(base_model))
    return revision_of({name: _sha256_of(str(path), *_state(path)) for name, path in _model_files(folder)})


def revision_of(files: Mapping[str, str]) -> str:
    """The revision of a local folder whose model files have these hashes, by name; empty where there are none."""
    lines = [f"{name} {digest}" for name, digest in sorted(files.items())]
    return sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest() if lines else ""


def hash_base(base_model: str | Path) -> dict[str, str]:
    """The sha256 of each file that makes a base model, every byte read now; nothing where its files are not on this machine."""
    folder = base_folder(base_model)
    return {name: sha256_of(path) for name, path in _model_files(folder)} if folder is not None else {}


def base_folder(base_model: str | Path) -> Path | None:
    """Where a base model lies on this machine: the folder itself, or its snapshot in the local cache; None for neither."""
    folder = Path(base_model)
    if folder.is_dir():
        return folder
    repository, commit = _repository(str(base_model)), _cached_commit(str(base_model))
    return repository / "snapshots" / commit if repository is not None and commit else None


def recorded_revision(artifact: str | Path) -> str:
    """The revision of the base that an artifact was trained on; empty where it does not say.

    Raises:
        ConfigurationError: the artifact's `training.json` cannot be read.
    """
    path = local(artifact) / TRAINING_FILE
    if not path.is_file():
        return ""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return str(about.get("base_revision") or (about.get("origin") or {}).get("base_revision") or "")
    except (ValueError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read as the record of a training; restore the artifact") from error


def require_same_base(artifact: str | Path, base_model: str | Path) -> None:
    """Refuse to put an adapter on a base whose files are not those it was trained on.

    An artifact that does not say, and a base whose revision cannot be known here, pass.

    Raises:
        ConfigurationError: the base has changed since the adapter was trained.
    """
    trained_on = recorded_revision(artifact)
    found = base_revision(base_model) if trained_on else ""
    if trained_on and found and trained_on != found:
        raise ConfigurationError(
            f"the adapter at {artifact} was trained on revision {trained_on[:12]} of {str(base_model)!r}, which is now at "
            f"{found[:12]}; restore the base model, or start a new line with parent=None"
        )


def _model_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths of the files that make a model, by name."""
    found = [*folder.iterdir(), *(folder / TEMPLATES).glob("*.jinja")]
    for path in sorted(found, key=lambda path: path.relative_to(folder).as_posix()):
        named = path.suffix.lower() in MODEL_FILES or path.name in VOCABULARIES
        if named and not path.name.startswith(".") and path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1024)
def _sha256_of(path: str, size: int, changed_ns: int) -> str:
    # Size and time are part of the key: a file that was written anew is hashed anew.
    return sha256_of(Path(path))


def _cached_commit(hub_id: str) -> str:
    """The commit that the local cache has as a hub model's main branch, with its files there."""
    repository = _repository(hub_id)
    if repository is None:
        return ""
    try:
        commit = (repository / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return commit if commit.isalnum() and (repository / "snapshots" / commit).is_dir() else ""


def _repository(hub_id: str) -> Path | None:
    """Where the local cache keeps a hub model."""
    try:
        from huggingface_hub import constants
    except ImportError:
        return None
    return Path(constants.HF_HUB_CACHE) / ("models--" + hub_id.strip("/").replace("/", "--"))
