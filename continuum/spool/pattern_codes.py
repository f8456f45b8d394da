"""Codes that begin with letters: bank accounts and the national ids of Britain, Spain and Italy.

They are found by their shape: text in which every letter is an `a` and every digit a zero is searched for
literals, and only where one stands a pattern is tried.
"""

import re
from collections.abc import Iterator

from continuum.spool import pattern_checks as checks
from continuum.spool.pattern_context import before, last, last_other, stands_alone

Found = Iterator[tuple[int, int, str]]

LETTERS, DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", b"0123456789"
SHAPES = bytes.maketrans(LETTERS + DIGITS, b"a" * 52 + b"0" * 10)
IBAN_SHAPE = b"aa00"
FISCALE_SHAPE = b"00a00"
"""In the middle of an Italian tax code, however it is spaced."""

IBAN = re.compile(r"(?P<country>[A-Za-z]{2})[0-9]{2}(?:[ .-]?[A-Za-z0-9]){11,30}")
NINO = re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?[0-9]{2}([ -]?)[0-9]{2}\1[0-9]{2}[ -]?[A-D](?!\w)", re.IGNORECASE)
LEADING_LETTERS = re.compile("([A-Za-z]{1,2})[ -]?\\Z")
NINO_WORDS = re.compile(r"\bnino\b|national insurance|\bni (?:no|num)")
NO_PREFIX = {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
NIE = re.compile(r"[XYZ][ -]?(?:[0-9]{7}|[0-9]\.[0-9]{3}\.[0-9]{3})[ -]?[A-Z](?!\w)", re.IGNORECASE)
FISCALE = re.compile(r"[A-Z]{3} ?[A-Z]{3} ?[0-9]{2}[ABCDEHLMPRST][0-9]{2} ?[A-Z][0-9]{3}[A-Z](?!\w)", re.IGNORECASE)


def codes(text: str, shape: bytes) -> Found:
    """What the codes in the text are: `(start, end, kind)`. In `shape` every letter is an `a` and every digit a zero."""
    for at in places(shape, IBAN_SHAPE):
        end = iban_end(text, at)
        if end:
            yield at, end, "IBAN"
    for at in places(shape, FISCALE_SHAPE):
        start = at - (8 if text[at - 1 : at] == " " else 6)
        found = FISCALE.match(text, start) if start >= 0 else None
        if found and checks.codice_fiscale(found[0].replace(" ", "")) and stands_alone(text, *found.span()):
            yield *found.span(), "NATIONAL_ID"


def lettered_ids(text: str, start: int) -> Iterator[tuple[int, int]]:
    """National ids that begin with one or two letters before the run of digits that begins here."""
    letters = LEADING_LETTERS.search(text, max(0, start - 4), start)
    if not letters or text[letters.start() - 1 : letters.start()].isalpha():
        return
    at = letters.start()
    if len(letters[1]) == 2:
        found = NINO.match(text, at)
        if found and is_nino(text, *found.span()):
            yield found.span()
    else:
        found = NIE.match(text, at)
        if found and checks.dni(re.sub("[ .-]", "", found[0])) and stands_alone(text, *found.span()):
            yield found.span()


def places(shape: bytes, literal: bytes) -> Iterator[int]:
    """Where in the text a shape stands."""
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


def is_nino(text: str, start: int, end: int) -> bool:
    """Whether a code is a British insurance number; in small letters only behind a word that says so."""
    if text[start : start + 2].upper() in NO_PREFIX or not stands_alone(text, start, end):
        return False
    context = before(text, start)
    return last(NINO_WORDS, context) >= 0 or (text[start].isupper() and last_other(context) < 0)
