"""Numbers that stand for a person: cards, phones and national ids that are runs of digits.

Runs of six digits or more, with separators between, are found in one search; what they are is asked only of them. A form that
cannot be mistaken is enough. A bare run of digits needs its check digit and a word that says what it is, and a word like
`order` before it saves it.
"""

import re
from collections.abc import Iterator

from continuum.spool import pattern_checks as checks
from continuum.spool.pattern_codes import lettered_ids
from continuum.spool.pattern_context import CARD_WORDS, said_to_be_other, stands_alone
from continuum.spool.pattern_ids import LONE_LETTER, digits_of, formed_ids, is_bare_id
from continuum.spool.pattern_phones import is_phone

Found = Iterator[tuple[int, int, str]]

# Searched in text in which every digit is a zero: a pattern that begins with a literal is found at the speed of `find`.
RUN = re.compile(rb"0(?:[ ./()-]{0,3}+0){5,}+")
GROUP = re.compile("[0-9]+")
CARD = re.compile(
    r"(?<![0-9])(?:[0-9]{4}([ .-]{1,2})[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?P<more>\1[0-9]{1,3})?"
    r"|3[0-9]{3}([ .-]{1,2})[0-9]{6}\3[0-9]{4,5}|(?P<bare>[0-9]{13,19}))(?![0-9])"
)

DATES = {
    b"0000-00-00", b"00.00.0000", b"00/00/0000", b"00-00-0000", b"0000/00/00", b"0000.00.00", b"0000-0000", b"00-00-0000 00.00",
    b"00.00.0000 00", b"00/00/0000 00", b"0000-00-00 00", b"0.0.0000", b"00.0.0000",
}  # fmt: skip
"""Runs that are nothing more than their form says."""

NOTHING_BARE = {6, 8, 13}
"""Digits of bare runs that are nothing, unless a letter stands beside them."""

MAX_GROUPS_OF_A_RUN = 80
"""With more groups a run is a table of numbers; phones are not looked for in it, ids and cards are."""
MAX_GROUPS, MAX_DIGITS = 8, 17
"""Groups of digits that one number is written in, and digits of the longest phone number with its prefix."""


def numbers(text: str, same: bytes) -> Found:
    """What the runs of digits in the text are: `(start, end, kind)`; `same` is the text with every digit a zero."""
    for run in RUN.finditer(same):
        start, end = run.span()
        if run[0] not in DATES:
            yield from kinds_of(text, start, end, run[0])


def kinds_of(text: str, start: int, end: int, same: bytes) -> Found:
    """What is in one run of digits: ids and cards first, phones in what is left."""
    if len(same) in NOTHING_BARE and b"0" * len(same) == same and is_nothing(text, start, end):
        return
    taken: set[int] = set()
    for kind, spans in (
        ("NATIONAL_ID", lettered_ids(text, start)),
        ("NATIONAL_ID", formed_ids(text, start, end, same)),
        ("CARD", cards(text, start, end)),
    ):
        for first, stop in spans:
            if taken.isdisjoint(range(first, stop)):
                taken.update(range(first, stop))
                yield first, stop, kind
    yield from pieces(text, start, end, taken)


def is_nothing(text: str, start: int, end: int) -> bool:
    """Whether nothing beside bare digits makes more of them than what they are."""
    return text[start : start + 2] != "00" and not (
        LONE_LETTER.match(text, end) or text[start - 1 : start] == "+" or text[start - 1 : start].isalpha()
    )


def cards(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Card numbers: those in groups are unmistakable, bare ones may be saved by the words before them."""
    if end - start < 13:
        return
    for found in CARD.finditer(text, start, end + 1):
        first, stop = found.span()
        if found["more"] and checks.card(digits_of(text[first : found.start("more")])):
            stop = found.start("more")
        valid = text[first] in "23456" and checks.card(digits_of(text[first:stop])) and stands_alone(text, first, stop)
        if valid and (found["bare"] is None or not said_to_be_other(CARD_WORDS, text, first)):
            yield first, stop


def pieces(text: str, start: int, end: int, taken: set[int]) -> Found:
    """Phones and bare ids in a run: from each group of digits the longest stretch that is one."""
    groups = [group.span() for group in GROUP.finditer(text, start, end)]
    at = 0 if len(groups) <= MAX_GROUPS_OF_A_RUN else len(groups)
    free = 0
    while at < len(groups):
        found = longest(text, groups, at, free, taken)
        if found:
            first, stop, kind, at = found
            yield first, stop, kind
            free = at + 1
        at += 1


def longest(text: str, groups: list[tuple[int, int]], at: int, free: int, taken: set[int]) -> tuple[int, int, str, int] | None:
    """The longest stretch from a group on that is a phone or an id: where it is, what it is, and its last group.

    Groups before `free` belong to the number before.
    """
    stretches = []
    digits = 0
    for last in range(at, min(at + MAX_GROUPS, len(groups))):
        digits += groups[last][1] - groups[last][0]
        if digits > MAX_DIGITS:
            break
        if digits >= 7:
            stretches.append((last, digits))
    for last, digits in reversed(stretches):
        stop = groups[last][1]
        first = opening(text, groups[at][0], stop)
        if not taken.isdisjoint(range(first, stop)) or not stands_alone(text, first, stop):
            continue
        if is_bare_id(text, first, stop, digits):
            return first, stop, "NATIONAL_ID", last
        if is_phone(text, outset(text, groups, at, free, first), first, stop, digits):
            return first, stop, "PHONE", last
    return None


def outset(text: str, groups: list[tuple[int, int]], at: int, free: int, first: int) -> int:
    """Where the number may begin that a stretch is the rest of: short groups, one space apart, as in tracking numbers."""
    earliest = max(free, at - MAX_GROUPS)
    while (
        at > earliest
        and text[first] != "("
        and groups[at - 1][1] - groups[at - 1][0] <= 4
        and groups[at][0] - groups[at - 1][1] == 1
    ):
        at -= 1
        first = groups[at][0]
    return first


def opening(text: str, first: int, stop: int) -> int:
    """Where a number begins that has `+` or a bracket before its first digit."""
    for _ in range(3):
        before = text[first - 1 : first]
        if before == "+" or (before == "(" and text.count(")", first, stop) > text.count("(", first, stop)):
            first -= 1
        elif before == " " and text[max(0, first - 2) : first - 1] == "+":
            first -= 2
    return first
