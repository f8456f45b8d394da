"""Whether a message says the one before it again in other words, or goes on from it.

Likeness of meaning alone does not tell: "what does it cost to Spain" is close to "what does it cost to France" and is no
complaint. So what goes on with a new number, a new thing in the same sentence, or a word that takes the answer as given, is a
follow-up, however alike it is.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from continuum.embedding.embedder import Embedder, HashedEmbedder
from continuum.similarity.languages import WORD
from continuum.similarity.words import FUNCTION_WORDS, numbers

LIKENESS = {"hashed": 0.3}
"""Cosine from which two messages are about the same, by the embedder's family.

Of pairs of bank customers' questions the hashed vectors put 41% of those with one intent above it, and 3.5% of the others.
"""
LIKENESS_OF_MEANING = 0.6
"""The same for an embedder that knows synonyms."""
PAIRS_AT_ONCE = 2000
FEWEST_BYTES = 12
"""A shorter message, like "yes please", says too little to be the same as another."""

GOES_ON = frozenset({"and", "also", "then", "next", "now", "ok", "okay", "yes", "yep", "sure", "great", "perfect", "thanks"})
"""First words of a message that takes the answer before it as given."""
GOES_ON_WITH = ("what about", "how about", "thank you", "one more", "another question")
CLOSINGS = frozenset(
    {"thanks", "thank", "thx", "ty", "cheers", "bye", "goodbye", "great", "perfect", "awesome", "excellent", "solved", "ok"}
    | {"okay", "danke", "merci", "gracias", "grazie", "obrigado", "obrigada", "bedankt"}
)
"""Words of which one is in a message that ends a talk content; short messages only."""
LONGEST_CLOSING = 8


def rephrased(pairs: Sequence[tuple[str, str]], embedder: Embedder | None = None) -> list[bool]:
    """For each pair of canonical messages whether the second says the first again in other words.

    Args:
        pairs: a message and the next.
        embedder: measures likeness; the hashed one without.
    """
    embedder = embedder or HashedEmbedder()
    least = LIKENESS.get(embedder.id.split("-")[0], LIKENESS_OF_MEANING)
    found = [False] * len(pairs)
    possible = [place for place, (first, second) in enumerate(pairs) if not goes_on(first, second)]
    for start in range(0, len(possible), PAIRS_AT_ONCE):
        places = possible[start : start + PAIRS_AT_ONCE]
        vectors = embedder.embed([text for place in places for text in pairs[place]])
        alike = np.einsum("ij,ij->i", vectors[::2], vectors[1::2])
        for place, likeness in zip(places, alike.tolist(), strict=True):
            found[place] = likeness >= least
    return found


def goes_on(first: str, second: str) -> bool:
    """Whether the second message cannot be the first in other words: the same words, too few, or a follow-up."""
    before, after = WORD.findall(first), WORD.findall(second)
    if before == after or not (says_something(first) and says_something(second)):
        return True
    if after[0] in GOES_ON or second.startswith(GOES_ON_WITH):
        return True
    if numbers(first) and numbers(second) and sorted(numbers(first)) != sorted(numbers(second)):
        return True
    return _one_thing_replaced(before, after)


def says_something(message: str) -> bool:
    """Whether a message is long enough that the same again is no accident."""
    return len(message.encode("utf-8", "replace")) >= FEWEST_BYTES


def closes(message: str) -> bool:
    """Whether a canonical message is a thank-you or a goodbye."""
    words = WORD.findall(message)
    return len(words) <= LONGEST_CLOSING and not CLOSINGS.isdisjoint(words)


def _one_thing_replaced(before: list[str], after: list[str]) -> bool:
    """Whether the same sentence asks about something else: one content word stands for another, the rest is as it was."""
    missing, added = Counter(before) - Counter(after), Counter(after) - Counter(before)
    gone, come = ([word for word in words.elements() if word not in FUNCTION_WORDS] for words in (missing, added))
    return len(gone) == len(come) == 1 and missing.total() == added.total() == 1
