"""The word guard: two texts of nearly equal spelling still differ when a number, a negation or a content word does.

No threshold on a similarity separates "a table for 5" from "a table for 8"; comparing the words does. The lists are English;
in another language every word counts as a content word, which removes fewer duplicates and never wrong ones.
"""

import re
from collections import Counter

from rapidfuzz.distance import Indel

WORD = re.compile(r"\w+(?:'\w+)?")

NEGATIONS = frozenset(
    WORD.findall(
        "no not never none nor nothing nobody neither without cannot can't don't doesn't didn't won't wouldn't isn't aren't "
        "wasn't weren't hasn't haven't hadn't shouldn't couldn't"
    )
)

# Question words are content: "when" and "where" ask for different things.
FUNCTION_WORDS = frozenset(
    WORD.findall(
        "a an the this that these those some any of to in on at for from by with as and or but so then than too very just "
        "also i me my mine you your yours we us our it its he him his she her they them their is am are was were be been "
        "being do does did have has had will would can could shall should may might must please thanks thank hi hello hey "
        "ok okay well um uh there here i'm i'd i'll i've you're it's that's let's"
    )
)

SPELLING_SIMILARITY = 0.8
SHORTEST_VARIANT = 4
"""Words below this length have no spelling variants: "cat" and "car" are two things."""


def same_words(left: str, right: str) -> bool:
    """Whether two canonical texts say the same words, function words and spelling variants aside."""
    ours, theirs = Counter(WORD.findall(left)), Counter(WORD.findall(right))
    missing, added = list((ours - theirs).elements()), list((theirs - ours).elements())
    if sum(word in NEGATIONS for word in missing) != sum(word in NEGATIONS for word in added):
        return False
    unmatched = _content(added)
    for word in _content(missing):
        variant = next((other for other in unmatched if _spelling_variant(word, other)), None)
        if variant is None:
            return False
        unmatched.remove(variant)
    return not unmatched


def numbers(text: str) -> tuple[str, ...]:
    """The words with digits, sorted: texts that differ in them never say the same."""
    return tuple(sorted(word for word in WORD.findall(text) if _has_digit(word)))


def _has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word)


def _content(words: list[str]) -> list[str]:
    return sorted(word for word in words if word not in FUNCTION_WORDS and word not in NEGATIONS)


def _spelling_variant(left: str, right: str) -> bool:
    if _has_digit(left) or _has_digit(right):
        return False
    if sorted(left) == sorted(right):
        return True
    long_enough = min(len(left), len(right)) >= SHORTEST_VARIANT
    return long_enough and Indel.normalized_similarity(left, right) >= SPELLING_SIMILARITY
