"""The word guard: two texts of nearly equal spelling still differ when a number, a negation or a content word does.

No threshold on a similarity separates "a table for 5" from "a table for 8"; comparing the words does. They are compared in
their order, because "3 adults and 2 children" are not "2 adults and 3 children". A word that is spelt otherwise is the same
word when it is a slip: neighbouring letters swapped, one letter lost, added or wrong. Two words that several texts use are
both meant, and no slip of each other.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from rapidfuzz.distance import OSA, Levenshtein

from continuum.similarity.languages import ENGLISH, Language, words_of

FUNCTION_WORDS = ENGLISH.function

NUMBER = re.compile(r"(?<!\w)[-+\u2212]?[^\W\d]*\d\w*(?:[.,:/]\d\w*)*")
SIGN = re.compile(r"""[^\w\s.,;:!?'"()\[\]{}\-…·¿¡`´。，、！？；：「」『』（）\u0300-\u036f]|!(?=[\w(])|(?<!\w)-(?=\d)""")
"""What is neither a word nor plain punctuation: "$" and "€", "<" and ">", the "!" before what a program denies."""

SHORTEST = 4
"""Words below this length have few spelling variants: "cat" and "car" are two things."""
LONG = 6
"""From this length a wrong letter is a slip; in a shorter word only where the texts agree in nearly everything else."""
TWO_SLIPS = 8
"""From this length a word may have two."""

CLOSE_CHARACTERS = 25
CLOSE_EDITS = 2
"""Texts at least so long and so few edits apart are one text with a slip, unless what differs has a meaning of its own."""

IN_USE = 3
SLIP_IN = 20
"""A word that three different texts use, and one for each twenty that use the other, is no slip of the other."""
LONGEST_SMALL = 12

Usage = Mapping[str, int]
NO_USAGE: Usage = MappingProxyType({})


class AllInUse(dict[str, int]):
    """The usage under which no word is a slip of another: what is the same by it is the same whatever else people write."""

    def get(self, key: str, default: int | None = None) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As often as any other word."""
        return IN_USE


def same_words(left: str, right: str, language: Language = ENGLISH, usage: Usage = NO_USAGE) -> bool:
    """Whether two canonical texts say the same, function words and slips aside.

    Args:
        left: a text.
        right: another; which comes first makes no difference.
        language: of both; in one without lists every word counts.
        usage: how many different texts use a word, see `usage_of`.
    """
    # An alignment of words may depend on which text comes first; the answer must not.
    left, right = sorted((left, right))
    long_enough = len(left) >= CLOSE_CHARACTERS <= len(right)
    left, right = difference(left, right)
    if numbers(left) != numbers(right) or signs(left) != signs(right):
        return False
    ours, theirs = words_of(left), words_of(right)
    if ours == theirs:
        return True
    ours, theirs = _mended(ours, theirs, language, usage), _mended(theirs, ours, language, usage)
    if _weighty(ours, language) != _weighty(theirs, language):
        return False
    close = long_enough and language.known and OSA.distance(left, right, score_cutoff=CLOSE_EDITS) <= CLOSE_EDITS
    if close and "".join(ours) == "".join(theirs):
        return True
    for edit in Levenshtein.editops(ours, theirs):
        if edit.tag == "replace":
            if not _says_the_same(ours[edit.src_pos], theirs[edit.dest_pos], language, usage, close):
                return False
        elif (ours[edit.src_pos] if edit.tag == "delete" else theirs[edit.dest_pos]) not in language.function:
            return False
    return True


def difference(left: str, right: str) -> tuple[str, str]:
    """What is left of two texts without the words that they share at their beginning and at their end."""
    begin = _shared(min(len(left), len(right)), lambda size: left.startswith(right[:size]))
    begin = left.rfind(" ", 0, begin) + 1
    left, right = left[begin:], right[begin:]
    end = _shared(min(len(left), len(right)), lambda size: left.endswith(right[len(right) - size :]))
    space = left.find(" ", len(left) - end)
    end = len(left) - space if end and space >= 0 else 0
    return left[: len(left) - end], right[: len(right) - end]


def _shared(most: int, holds: Callable[[int], bool]) -> int:
    """The largest size up to `most` for which something holds that holds for all smaller ones."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def numbers(text: str) -> tuple[str, ...]:
    """The words with digits in them, in their order, with sign and decimals: texts that differ in them never say the same."""
    return tuple(NUMBER.findall(text))


def signs(text: str) -> str:
    """What of a text is neither word nor plain punctuation, in its order."""
    return "".join(SIGN.findall(text))


def usage_of(texts: Iterable[str]) -> Usage:
    """How many of some different texts use each word."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(words_of(text)))
    return counts


def _mended(words: Sequence[str], others: Sequence[str], language: Language, usage: Usage) -> list[str]:
    """The words, those being put right which are a small word of the language with two letters swapped, and no other's.

    A misspelt "not" is a "not", and no word of its own; so it has to be known before the words that weigh are compared.
    """
    expected = set(others)
    return [word if word in expected else _put_right(word, language, usage) for word in words]


def _put_right(word: str, language: Language, usage: Usage) -> str:
    if word in language.small or not 1 < len(word) <= LONGEST_SMALL:
        return word
    swaps = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}
    meant = [swap for swap in swaps & language.small if not _both_meant(word, swap, usage)]
    return meant[0] if len(meant) == 1 else word


def _both_meant(left: str, right: str, usage: Usage) -> bool:
    """Whether both words are in use, so that neither is a slip of the other."""
    rarer, commoner = sorted((usage.get(left, 0), usage.get(right, 0)))
    return rarer >= IN_USE and rarer * SLIP_IN >= commoner


def _is_rare_beside(left: str, right: str, usage: Usage) -> bool:
    """Whether hardly anybody writes one of the words, and everybody the other."""
    rarer, commoner = sorted((usage.get(left, 0), usage.get(right, 0)))
    return commoner >= SLIP_IN * max(1, rarer)


def _weighty(words: Sequence[str], language: Language) -> list[str]:
    """The words of which none may come, go or be misspelt."""
    return [word for word in words if word in language.negations or word in language.exact]


def _says_the_same(left: str, right: str, language: Language, usage: Usage, close: bool) -> bool:
    """Whether one word may stand where the other stood."""
    if left in language.function and right in language.function:
        return not any((left in one and right in other) or (left in other and right in one) for one, other in language.opposed)
    return _slip(left, right, language, usage, close)


def _slip(left: str, right: str, language: Language, usage: Usage, close: bool) -> bool:
    if any(word in language.negations or word in language.exact or _has_digit(word) for word in (left, right)):
        return False
    short, long = sorted((left, right), key=len)
    if len(short) >= SHORTEST - 1 and short + "s" == long:
        return True
    if _both_meant(left, right, usage) or any(long == prefix + short for prefix in language.reversing):
        return False
    distance = OSA.distance(left, right, score_cutoff=2)
    if distance == 1 and (sorted(left) == sorted(right) or (close and _is_rare_beside(left, right, usage))):
        return True
    # "lock" and "block", "rice" and "price": what begins otherwise is another word more often than a slip.
    if len(short) < SHORTEST or left[0] != right[0]:
        return False
    if distance == 1:
        return len(left) != len(right) or close or len(short) >= LONG
    return distance == 2 and len(short) >= TWO_SLIPS


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))
