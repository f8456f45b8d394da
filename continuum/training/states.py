"""States that a killed training goes on from: weights and moments in safetensors, all else in JSON, and never a pickle.

A state is a folder that appears whole: it is written under another name, every file is on the disk before the manifest that names
their sha256, and the manifest before the folder gets its name. Whatever a kill leaves half-written is passed over and removed.
"""

import errno
import json
import os
import random
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from continuum.errors import StoreError
from continuum.provenance.artifacts import sha256_of

MANIFEST = "manifest.json"
UNFINISHED = ".part"
KEPT = 2
"""The one before the newest is kept too: a disk may lose what it was told to keep."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class State:
    """A state on the disk, whole and as it was written."""

    folder: Path
    step: int

    @classmethod
    def of(cls, folder: str | Path) -> "State":
        """The state of a folder that is known to be whole."""
        return cls(Path(folder), int(Path(folder).name))

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors saved under a name; none where there are none."""
        path = self.folder / f"{name}.safetensors"
        return load_file(path) if path.is_file() else {}

    def values(self, name: str) -> Any:
        """The values saved under a name."""
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class States:
    """The states of one stage of a training.

    Args:
        folder: where they are; it need not exist.
    """

    folder: Path

    def save(self, step: int, tensors: Mapping[str, Mapping[str, torch.Tensor]], values: Mapping[str, Any]) -> None:
        """Write the state after `step` optimizer steps; older ones but the last are removed.

        Raises:
            OSError: it could not be written; the states before it are untouched.
        """
        unfinished = self.folder / f"{step:08d}{UNFINISHED}"
        for left in self.folder.glob(f"*{UNFINISHED}"):
            shutil.rmtree(left)
        unfinished.mkdir(parents=True)
        try:
            for name, named in tensors.items():
                if named:
                    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in sorted(named.items())}
                    write_through(unfinished / f"{name}.safetensors", save(plain))
            for name, value in values.items():
                write_through(unfinished / f"{name}.json", json.dumps(value).encode())
            hashes = {path.name: sha256_of(path) for path in sorted(unfinished.iterdir())}
            write_through(unfinished / MANIFEST, json.dumps({"step": step, "files": hashes}).encode())
            sync_folder(unfinished)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        final = self.folder / f"{step:08d}"
        if final.exists():
            shutil.rmtree(final)
        unfinished.rename(final)
        sync_folder(self.folder)
        for old in self._folders()[KEPT:]:
            shutil.rmtree(old)

    def newest(self) -> State | None:
        """The newest state that is whole; None where there is none."""
        return next((State.of(folder) for folder in self._folders() if _is_whole(folder)), None)

    def drop_from(self, step: int) -> None:
        """Remove the states after `step` optimizer steps or more."""
        for folder in self._folders():
            if int(folder.name) >= step:
                shutil.rmtree(folder)

    def _folders(self) -> list[Path]:
        """Newest first."""
        return sorted((path for path in self.folder.glob("*") if re.fullmatch(r"\d{8,}", path.name)), reverse=True)


def write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that is whole or absent, whenever the process dies."""
    unfinished = path.with_name(path.name + UNFINISHED)
    write_through(unfinished, content)
    unfinished.replace(path)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def random_state() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The random generators of torch as tensors, those of Python and numpy as values."""
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    numbers = [kind, np.asarray(keys).tolist(), position, has_gauss, gauss]
    return tensors, {"python": random.getstate(), "numpy": numbers}


def set_random_state(tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
    """Put the random generators where `random_state` found them."""
    torch.set_rng_state(tensors["cpu"])
    if torch.cuda.is_available() and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"])
    version, keys, gauss = values["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, words, position, has_gauss, cached = values["numpy"]
    np.random.set_state((kind, np.array(words, dtype=np.uint32), position, has_gauss, cached))


@contextmanager
def room_on_disk(folder: Path, needed: int) -> Iterator[None]:
    """Say of a disk that is full how much is free and how much is needed.

    Args:
        folder: where the block writes.
        needed: bytes that the block may write in all.

    Raises:
        StoreError: the disk, the quota or the largest file allowed is full.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not is_full(error):
            raise
        raise no_room(folder, needed) from error


def require_room(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        StoreError: fewer than `needed` bytes are free.
    """
    if shutil.disk_usage(folder).free < needed:
        raise no_room(folder, needed)


def is_full(error: BaseException) -> bool:
    """Whether an error says that nothing more can be written. The safetensors library keeps the number in its words only."""
    if isinstance(error, SafetensorError):
        return any(f"os error {number})" in str(error) for number in FULL)
    return isinstance(error, OSError) and error.errno in FULL


def no_room(folder: Path, needed: int) -> StoreError:
    """The error for a disk that is full."""
    free = shutil.disk_usage(folder).free
    return StoreError(
        f"no room to write below {folder}: {free / 1e6:,.1f} MB are free there and up to {needed / 1e6:,.1f} MB are needed; "
        "free some, or raise the quota or the largest file allowed, and run the same again: it goes on from its last state"
    )


def _is_whole(folder: Path) -> bool:
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return bool(files) and all(sha256_of(folder / name) == expected for name, expected in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
