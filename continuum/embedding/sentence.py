"""The engine behind embedders that are models: sentence-transformers on the CPU or whatever torch finds."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from sentence_transformers import SentenceTransformer

BATCH = 128


class SentenceEmbedder:
    """A sentence-transformers model.

    Args:
        location: a local folder or a hub id.
    """

    def __init__(self, location: str) -> None:
        self._model = SentenceTransformer(location)
        # The weights name the vectors: a path says nothing on another machine.
        digest = blake2b(digest_size=8)
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().numpy().tobytes())
        self.id = f"sentence-{digest.hexdigest()}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One float32 row of length one for each text; equal texts are computed once."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return np.zeros((0, self._model.get_embedding_dimension() or 0), dtype=np.float32)
        # All in one call: the library sorts by length, which is two to three times faster than batches made here.
        vectors = self._model.encode(
            distinct, batch_size=BATCH, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        position = {text: row for row, text in enumerate(distinct)}
        return np.asarray(vectors, dtype=np.float32)[[position[text] for text in texts]]
