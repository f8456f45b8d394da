"""Nearest neighbours by cosine, exact, and the answer that looking up gives.

`NearestAnswer` is the yardstick beside a tuned model: it repeats the answer of the most similar training example, and a model
that learned no more than to look up does no better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from continuum.embedding.embedder import Embedder
from continuum.errors import NotEnoughData
from continuum.records import Example, Message
from continuum.similarity.normalise import prompt_tail


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest corpus rows of each query, nearest first."""

    cosine: np.ndarray
    """Shape (queries, k)."""
    position: np.ndarray
    """Shape (queries, k): rows of the corpus."""


def nearest(queries: np.ndarray, corpus: np.ndarray, k: int) -> Neighbours:
    """The `k` nearest rows of the corpus for each query, or all of them where there are fewer."""
    k = min(k, len(corpus))
    if k == 0 or not len(queries):
        shape = (len(queries), k)
        return Neighbours(np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.int64))
    index = faiss.IndexFlatIP(corpus.shape[1])
    index.add(np.ascontiguousarray(corpus, dtype=np.float32))
    cosine, position = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    return Neighbours(cosine, position)


class NearestAnswer:
    """Answers a conversation with the answer of the most similar example.

    Args:
        examples: what to look up in.
        embedder: what similar means.

    Raises:
        NotEnoughData: there are no examples.
    """

    def __init__(self, examples: Sequence[Example], embedder: Embedder) -> None:
        if not examples:
            raise NotEnoughData("looking up an answer needs at least 1 example, found 0")
        self._examples = list(examples)
        self._embedder = embedder
        self._corpus = embedder.embed([prompt_tail(example.messages) for example in self._examples])

    def answer(self, conversations: Sequence[Sequence[Message]]) -> list[Message]:
        """One answer for each conversation."""
        queries = self._embedder.embed([prompt_tail(messages) for messages in conversations])
        return [self._examples[row[0]].response for row in nearest(queries, self._corpus, 1).position]
