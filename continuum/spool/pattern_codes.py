"""Codes that begin with letters: bank accounts and the national ids of Britain, Spain and Italy.

They are found by their shape: text in which every capital is `A`, every small letter `a` and every digit `0` is searched for
literals, and only where one stands a pattern is tried.
"""

import re
from collections.abc import Iterator

from continuum.spool import pattern_checks as checks
from continuum.spool.pattern_context import before, last, last_other, stands_alone

Found = Iterator[tuple[int, int, str]]

UPPER, LOWER, DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz", b"0123456789"
SHAPES = bytes.maketrans(UPPER + LOWER + DIGITS, b"A" * 26 + b"a" * 26 + b"0" * 10)

TWO_AND_TWO = (b"AA00", b"aa00", b"Aa00", b"AA 00", b"aa 00", b"AA-00")
LETTER_AND_SEVEN = (b"A0000000", b"a0000000", b"A-0000000", b"a-0000000", b"A 0000000", b"A-0.000.000", b"A0.000.000")
FISCALE_SHAPE = (b"AAAAAA00A00A000A", b"aaaaaa00a00a000a", b"AAA AAA 00A00 A000A")

IBAN = re.compile(r"(?P<country>[A-Za-z]{2})[0-9]{2}(?:[ .-]?[A-Za-z0-9]){11,30}")
NINO = re.compile(
    r"(?![BbGgKkNnTt][BbKkGgNnTt][ -]?(?<=[Xx]))[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]([ -]?)[0-9]{2}([ -]?)[0-9]{2}\2[0-9]{2}[ -]?[A-D](?!\w)",
    re.IGNORECASE,
)
NINO_WORDS = re.compile(r"\bnino\b|national insurance|\bni (?:no|num)")
NO_PREFIX = {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
NIE = re.compile(r"[XYZ][ -]?(?:[0-9]{7}|[0-9]\.[0-9]{3}\.[0-9]{3})[ -]?[A-Z](?!\w)", re.IGNORECASE)
FISCALE = re.compile(r"[A-Z]{3} ?[A-Z]{3} ?[0-9]{2}[ABCDEHLMPRST][0-9]{2} ?[A-Z][0-9]{3}[A-Z](?!\w)", re.IGNORECASE)


def codes(text: str, shape: bytes) -> Found:
    """What the codes in the text are: `(start, end, kind)`. `shape` has one byte for each character of the text."""
    for at in places(shape, TWO_AND_TWO):
        end = iban_end(text, at)
        if end:
            yield at, end, "IBAN"
        elif is_nino(text, at):
            yield at, at + len(NINO.match(text, at)[0]), "NATIONAL_ID"  # type: ignore[index]
    for literals, pattern, check in ((LETTER_AND_SEVEN, NIE, checks.dni), (FISCALE_SHAPE, FISCALE, checks.codice_fiscale)):
        for at in places(shape, literals):
            found = pattern.match(text, at)
            if found and check(re.sub("[ .-]", "", found[0])) and stands_alone(text, *found.span()):
                yield *found.span(), "NATIONAL_ID"


def places(shape: bytes, literals: tuple[bytes, ...]) -> Iterator[int]:
    """Where in the text one of the shapes stands."""
    for literal in literals:
        at = shape.find(literal)
        while at >= 0:
            yield at
            at = shape.find(literal, at + 1)


def iban_end(text: str, at: int) -> int | None:
    """Where the bank account that begins here ends; its country says how long it is."""
    size = checks.IBAN_LENGTHS.get(text[at : at + 2].upper())
    if size is None or text[at - 1 : at].isalnum():
        return None
    found = IBAN.match(text, at)
    if not found:
        return None
    seen = 0
    for end in range(found.start(), found.end()):
        seen += text[end].isalnum()
        if seen == size:
            account = "".join(filter(str.isalnum, text[at : end + 1]))
            return end + 1 if not text[end + 1 : end + 2].isalnum() and checks.iban(account) else None
    return None


def is_nino(text: str, at: int) -> bool:
    """Whether a British insurance number begins here; in small letters only behind a word that says so."""
    found = NINO.match(text, at)
    if not found or text[at : at + 2].upper() in NO_PREFIX or not stands_alone(text, *found.span()):
        return False
    context = before(text, at)
    named = last(NINO_WORDS, context)
    return named >= 0 or (text[at].isupper() and last_other(context) < 0)
