"""Near-duplicates: MinHash proposes pairs, character similarity and the word guard decide.

Similarity is the Indel ratio of canonical texts: 1 is identical, 0.92 is 8% of the characters changed. MinHash (Broder 1997)
runs over four-character shingles with 128 permutations in 32 bands, which proposes pairs from a Jaccard similarity of 0.4 up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Indel
from rensa import RMinHash, RMinHashLSH  # pyright: ignore[reportAttributeAccessIssue] - a compiled module

from continuum.similarity.words import numbers, same_words

SHINGLE = 4
PERMUTATIONS = 128
BANDS = 32
SEED = 42
LONGEST = 4000
"""Characters of a text that are compared; the end is kept, because that is where the question is."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and its answer as they are compared; all texts canonical."""

    prompt: str
    response: str
    action: str
    """The tool calls of the answer; empty when it is words."""
    score: float


def same_text(left: str, right: str, threshold: float) -> bool:
    """Whether two canonical texts are near-duplicates: similar to `threshold` or more, and no word of weight differs."""
    left, right = left[-LONGEST:], right[-LONGEST:]
    if left == right:
        return True
    return Indel.normalized_similarity(left, right, score_cutoff=threshold) >= threshold and same_words(left, right)


def same_answered(left: Answered, right: Answered, threshold: float) -> bool:
    """Whether two examples teach the same: near-equal question and answer, the same action, verdicts within a point."""
    return (
        abs(left.score - right.score) <= 1
        and left.action == right.action
        and same_text(left.prompt, right.prompt, threshold)
        and same_text(left.response, right.response, threshold)
    )


def near_pairs(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of positions, the lower first, whose canonical texts are near-duplicates."""
    for first, others in enumerate(_candidates(texts)):
        yield from ((first, second) for second in others if same_text(texts[first], texts[second], threshold))


def keepers(items: Sequence[Answered], threshold: float) -> list[int]:
    """For each item the position of the item that stands for it; its own where it stays. Items come best first.

    The best item stays and is itself similar to everything it replaces. Connected components would chain: single linkage
    made one group of 824 different bank queries.
    """
    kept_as = list(range(len(items)))
    for first, others in enumerate(_candidates([f"{item.prompt}\n{item.response}" for item in items])):
        if kept_as[first] != first:
            continue
        for second in others:
            if kept_as[second] == second and same_answered(items[first], items[second], threshold):
                kept_as[second] = first
    return kept_as


def _candidates(texts: Sequence[str]) -> list[list[int]]:
    """For each text the later ones that MinHash finds similar and that hold the same numbers."""
    compared = [text[-LONGEST:] for text in texts]
    # Templated traffic is all alike but for its numbers: asking MinHash about it as a whole would propose every pair.
    blocks: dict[tuple[str, ...], list[int]] = {}
    for position, text in enumerate(compared):
        blocks.setdefault(numbers(text), []).append(position)
    later: list[list[int]] = [[] for _ in texts]
    for block in blocks.values():
        if len(block) > 1:
            for position, found in zip(block, _similar([compared[position] for position in block]), strict=True):
                later[position] = sorted(block[other] for other in found if block[other] > position)
    return later


def _similar(texts: Sequence[str]) -> list[list[int]]:
    hashes = RMinHash.from_token_sets([_shingles(text) for text in texts], num_perm=PERMUTATIONS, seed=SEED)
    index = RMinHashLSH(threshold=0.4, num_perm=PERMUTATIONS, num_bands=BANDS)
    index.insert_many(hashes)
    return index.query_all(hashes)


def _shingles(text: str) -> list[str]:
    if len(text) <= SHINGLE:
        return [text]
    return list({text[start : start + SHINGLE] for start in range(len(text) - SHINGLE + 1)})
