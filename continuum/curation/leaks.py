"""The last look before a training set is written: does any of it repeat a golden question?

Groups keep dialogues apart; two people can still ask the same in nearly the same words. Such examples are left out of
training. A whole context that is equal to a golden one can only be a fault in the grouping, and stops the build.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from continuum.curation.quality import Rated
from continuum.embedding.embedder import Embedder
from continuum.embedding.neighbours import nearest
from continuum.errors import ContinuumError
from continuum.similarity.fingerprints import context_fingerprint
from continuum.similarity.near import same_text
from continuum.similarity.normalise import prompt_tail
from continuum.splits.golden import GoldenItem

NEIGHBOURS = 8
"""Golden questions nearest to an example that are compared with it, letter by letter."""


@dataclass(frozen=True)
class Sealed:
    """The examples that may be trained on, and their vectors row by row."""

    kept: list[Rated]
    vectors: np.ndarray
    near_golden: int
    """Left out because a golden question is nearly the same."""


def seal(rated: Sequence[Rated], golden: Sequence[GoldenItem], embedder: Embedder, threshold: float) -> Sealed:
    """Leave out what repeats a golden question.

    Raises:
        ContinuumError: an example has the very context of a golden item.
    """
    tails = [prompt_tail(one.interaction.messages) for one in rated]
    vectors = embedder.embed(tails)
    _forbid_exact(rated, golden)
    golden_tails = [prompt_tail(item.messages) for item in golden]
    neighbours = nearest(vectors, embedder.embed(golden_tails), NEIGHBOURS)
    apart = [
        not any(same_text(tail, golden_tails[position], threshold) for position in row)
        for tail, row in zip(tails, neighbours.position, strict=True)
    ]
    kept = [one for one, keep in zip(rated, apart, strict=True) if keep]
    return Sealed(kept=kept, vectors=vectors[np.array(apart, dtype=bool)], near_golden=len(rated) - len(kept))


def _forbid_exact(rated: Sequence[Rated], golden: Sequence[GoldenItem]) -> None:
    held = {context_fingerprint(item.messages): item.interaction_id for item in golden}
    for one in rated:
        twin = held.get(context_fingerprint(one.interaction.messages))
        if twin is not None:
            raise ContinuumError(
                f"interaction {one.interaction.id} has the very context of golden item {twin} and would be trained on; "
                "this is a fault in the grouping of interactions: please report it"
            )
