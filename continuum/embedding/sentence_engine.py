"""The engine behind embedders that are models: sentence-transformers on the CPU or whatever torch finds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from continuum.errors import ConfigurationError

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
        tokenizer: Any = getattr(self._model, "tokenizer", None)
        if hasattr(tokenizer, "truncation_side"):
            tokenizer.truncation_side = "left"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """One float32 row of length one for each text.

        Each text is computed alone. In a batch a vector depends on what shares it: by padding, and where nothing is padded
        by the last bits, since on some processors a product of matrices is summed in another order for another number of rows.
        Two hundred short texts cost 2.6 times the processor time of one batch for each length.
        """
        return self._model.encode(
            [self._end(text) for text in texts],
            batch_size=1,
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        ).reshape(len(texts), self._model.get_embedding_dimension() or 0)

    def _end(self, text: str) -> str:
        # A tokenizer refuses half a surrogate pair.
        return text[-CHARACTERS_PER_TOKEN * self._tokens :].encode("utf-8", "replace").decode()
