"""Each text is embedded once: its vector is kept, and found again by the exact text.

The key is the exact text, never a normalised one: two texts that normalise to one would have the vector of whichever came
first. Kept vectors are float16; one that was just computed is rounded the same way, so that a first build and a later one see
equal vectors, bit for bit.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from continuum.config import Settings
from continuum.embedding.embedder import Embedder, open_embedder
from continuum.embedding.parts import KEY_BYTES, Parts
from continuum.errors import ConfigurationError
from continuum.partitions.workers import LocalWorkers, Workers, open_workers
from continuum.progress import Progress, silent

CHUNK = 1024
"""Texts that are embedded between two writings: what an interruption can cost."""
ROUNDED_ROWS = 2048
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class CachedEmbedder:
    """An embedder that remembers.

    Args:
        embedder: what computes the vectors that are not kept yet.
        folder: where they are kept, for each embedder in a folder of its own.
        on_progress: told after each chunk of texts that had to be computed.
        workers: who computes; None for this process.

    Attributes:
        hits: distinct texts that were found, over all calls.
        misses: distinct texts that had to be computed.
    """

    def __init__(
        self, embedder: Embedder, folder: Path, *, on_progress: Progress = silent, workers: Workers | None = None
    ) -> None:
        self.embedder = embedder
        self.id = embedder.id
        self.hits = 0
        self.misses = 0
        self._parts = Parts(folder / folder_name(embedder.id), embedder.id)
        self._on_progress = on_progress
        self._width: int | None = None
        self._workers = workers or LocalWorkers()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One float32 row of length one for each text; what was computed before an interruption is kept.

        Raises:
            ConfigurationError: the embedder gives something that is not a number.
            StoreError: vectors of several lengths are kept under one name.
        """
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return self.embedder.embed([]) if self._width is None else np.zeros((0, self._width), dtype=np.float32)
        places, found = self._parts.find(self._keys(distinct))
        missing = sorted(set(range(len(distinct))).difference(places), key=lambda place: len(distinct[place]), reverse=True)
        self.hits += len(places)
        self.misses += len(missing)
        if missing:
            computed = self._compute([distinct[place] for place in missing])
            found = np.concatenate([found.reshape(-1, computed.shape[1]), computed])
            places = places + missing
        self._width = found.shape[1]
        row = dict(zip((distinct[place] for place in places), range(len(places)), strict=True))
        return unit(found, [row[text] for text in texts])

    def forget(self, texts: Iterable[str]) -> int:
        """Delete the vectors of texts, for good; returns how many were kept.

        What another process computes meanwhile it may keep afterwards: erase what the texts come from first.
        """
        return self._parts.forget(self._keys(dict.fromkeys(texts)))

    def keys(self, texts: Iterable[str]) -> list[bytes]:
        """By what the vectors of texts are kept: hashes, which may be remembered when the texts may not."""
        return self._keys(texts)

    def forget_keys(self, keys: Iterable[bytes]) -> int:
        """The same as `forget`, by what `keys` gave."""
        return self._parts.forget(set(keys))

    def _compute(self, texts: list[str]) -> np.ndarray:
        # Sorted by length as they come, so that a model computes texts of like length together.
        chunks: list[np.ndarray] = []
        note, done, kept = f"embedding {len(texts)} texts", 0, True
        self._on_progress(0, len(texts), note)
        for vectors in self._workers.batches(self.embedder.embed, texts, CHUNK):
            if not np.isfinite(vectors).all():
                raise ConfigurationError(f"the embedder {self.id} gives vectors that are not numbers; use another model")
            chunks.append(vectors.astype("<f2"))
            kept = kept and self._keep(texts[done : done + len(vectors)], chunks[-1])
            done += len(vectors)
            self._on_progress(done, len(texts), note)
        if kept:
            self._parts.compact()
        return np.concatenate(chunks)

    def _keep(self, texts: list[str], vectors: np.ndarray) -> bool:
        try:
            self._parts.keep(self._keys(texts), vectors)
        except OSError as error:
            warnings.warn(f"vectors of texts cannot be kept in {self._parts.folder}: {error}", stacklevel=2)
            return False
        return True

    def _keys(self, texts: Iterable[str]) -> list[bytes]:
        whose = self.id.encode("utf-8", "surrogatepass") + b"\0"
        return [blake2b(whose + text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest() for text in texts]


def cached_embedder(settings: Settings, *, on_progress: Progress = silent, workers: Workers | None = None) -> CachedEmbedder:
    """The embedder that CONTINUUM_EMBEDDER names, with its vectors kept in the home and computed by CONTINUUM_WORKERS.

    Args:
        settings: name the embedder, the home and the workers.
        on_progress: told after each chunk of texts that had to be computed.
        workers: who computes instead of those that the settings name.

    Raises:
        ConfigurationError: there is no such embedder.
        MissingExtra: sentence-transformers, or Ray, is asked for and not installed.
    """
    return CachedEmbedder(
        open_embedder(settings.embedder),
        settings.embeddings_dir,
        on_progress=on_progress,
        workers=workers or open_workers(settings.workers),
    )


def unit(vectors: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """The chosen rows at length one, as float32; sums are float64, so that every processor rounds to the same."""
    made = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
    chosen = np.asarray(rows, dtype=np.int64)
    for start in range(0, len(chosen), ROUNDED_ROWS):
        some = vectors[chosen[start : start + ROUNDED_ROWS]].astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", some, some))
        made[start : start + ROUNDED_ROWS] = some / np.where(lengths == 0, 1.0, lengths)[:, None]
    return made


def folder_name(embedder_id: str) -> str:
    """The id where it can be the name of a folder, else a hash of it."""
    if PLAIN_NAME.fullmatch(embedder_id):
        return embedder_id
    return f"id-{blake2b(embedder_id.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
