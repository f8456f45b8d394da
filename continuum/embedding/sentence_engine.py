"""The engine behind embedders that are models: sentence-transformers on the CPU or whatever torch finds."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from continuum.errors import ConfigurationError

BATCH = 128
BATCH_TOKENS = 32_768
"""Texts and tokens of a batch; whichever is reached first."""
CHARACTERS_PER_TOKEN = 64
"""A text is cut to so many characters for each token that the model reads before it is split, so that no text is too long to."""
DEFAULT_TOKENS = 8192
"""Where a model names no length."""


class SentenceEngine:
    """A loaded model.

    Args:
        location: a local folder, or a hub id.

    Raises:
        ConfigurationError: it cannot be loaded.
    """

    def __init__(self, location: str) -> None:
        try:
            self._model = SentenceTransformer(location)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the embedder {location!r} cannot be opened: {error}; CONTINUUM_EMBEDDER is hashed, minilm, or the path or "
                "hub id of a sentence-transformers model"
            ) from error
        self._tokens = self._model.max_seq_length or DEFAULT_TOKENS
        self._tokenizer: Any = getattr(self._model, "tokenizer", None)
        if hasattr(self._tokenizer, "truncation_side"):
            self._tokenizer.truncation_side = "left"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """One float32 row of length one for each text.

        Texts of as many tokens are computed together, so that nothing is padded: that is as quick as sorting by length, and a
        vector depends on nothing but its text. With padding, one in a hundred differs by what it shares a batch with.
        """
        vectors = np.zeros((len(texts), self._model.get_embedding_dimension() or 0), dtype=np.float32)
        for length, places in self._by_length([self._end(text) for text in texts]).items():
            vectors[[place for place, _ in places]] = self._model.encode(
                [text for _, text in places],
                batch_size=max(1, min(BATCH, BATCH_TOKENS // max(1, length))),
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return vectors

    def _end(self, text: str) -> str:
        # A tokenizer refuses half a surrogate pair.
        return text[-CHARACTERS_PER_TOKEN * self._tokens :].encode("utf-8", "replace").decode()

    def _by_length(self, texts: list[str]) -> dict[int, list[tuple[int, str]]]:
        """Tokens to the texts of so many, each with its place, longest first."""
        lengths = [0] * len(texts)
        if texts and self._tokenizer is not None:
            lengths = [len(tokens) for tokens in self._tokenizer(texts, truncation=True, max_length=self._tokens)["input_ids"]]
        groups: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for place, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            groups[length].append((place, text))
        return dict(sorted(groups.items(), reverse=True))
