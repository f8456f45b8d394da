"""The built-in redactor: patterns behind cheap literal checks, so that clean text costs next to nothing.

Text is searched as a shadow of itself: foreign digits and full-width signs become the plain ones, invisible characters
disappear, and what was found is blanked so that nothing is found twice. Each family of patterns is asked only when a search at
the speed of C (`in`, `bytes.translate`) says that it may find something.
"""

import re
from collections.abc import Callable, Iterator

from continuum.spool.pattern_addresses import ipv4, ipv6, mails, spelled_mails
from continuum.spool.pattern_codes import FISCALE_SHAPE, SHAPES, codes
from continuum.spool.pattern_folding import folded
from continuum.spool.pattern_numbers import numbers
from continuum.spool.pattern_secrets import (
    BEGIN_KEY,
    LONG_TOKEN,
    PASSWORD_NAMES,
    SECRET_NAMES,
    TOKEN_CHARACTERS,
    named,
    private_keys,
    schemes,
    tokens,
    url_logins,
)

KINDS = ("EMAIL", "PHONE", "CARD", "IBAN", "SECRET", "IP", "NATIONAL_ID")
"""What is found, as it stands in the placeholders."""
PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(KINDS)})\]")
BLANK = "\x00"

MAX_PASSES = 8
"""What is taken out can lay bare what stood beside it, so text is read until nothing more is found; twice is the rule."""

DIGITS = b"0123456789"
SAME_DIGIT = bytes.maketrans(DIGITS, b"0" * 10)
NO_DIGITS = bytes(set(range(256)) - set(DIGITS))
HEXADECIMAL = DIGITS + b"abcdefABCDEF"
FEWEST_DIGITS = 3
"""Digits in a row, with separators or without, below which there is no number worth a look."""
SPELLED_AT = (b"(at)", b"[at]", b"{at}")
NUMBER_SEPARATORS = b" .-/()"


class PatternRedactor:
    """Knows mail addresses, phone numbers, cards, bank accounts, secrets, IP addresses and national ids by their form."""

    name = "builtin"
    # Bumped with every change after which some text comes out differently: the version on a row tells what it was redacted by.
    version = "builtin-1"

    def redact(self, text: str) -> str:
        """The text with a typed placeholder where something was found."""
        for _ in range(MAX_PASSES):
            spans = found_in(text)
            if not spans:
                return text
            text = replaced(text, spans)
        return text

    def nothing_in(self, text: str) -> bool:
        """Whether nothing is found in the text, nor in any piece of it; where it is not sure, it says no.

        What `Search.run` asks before each family, in one cheap pass: of most traffic it is all that is needed.
        """
        if not text.isascii() or "@" in text or ("-" in text and "-----BEGIN " in text):
            return False
        plain = text.encode()
        lowered = plain.lower()
        if LONG_TOKEN in plain.translate(TOKEN_CHARACTERS) or b"bearer" in lowered or b"basic " in lowered:
            return False
        colon = b":" in plain
        names = PASSWORD_NAMES + SECRET_NAMES if colon or b"=" in plain else PASSWORD_NAMES
        for name in names:
            if name in lowered:
                return False
        if any(sign in plain for sign in b"([{") and any(spelled in lowered for spelled in SPELLED_AT):
            return False
        if colon and (b"::" in plain or b":::::::" in plain.translate(None, HEXADECIMAL)):
            return False
        if len(plain.translate(None, NO_DIGITS)) < FEWEST_DIGITS:
            return True
        return b"0" * FEWEST_DIGITS not in plain.translate(SAME_DIGIT, NUMBER_SEPARATORS)


def replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    """The text with placeholders in place of the spans."""
    pieces = []
    done = 0
    for start, end, kind in sorted(spans):
        pieces += text[done:start], f"[{kind}]"
        done = end
    return "".join([*pieces, text[done:]])


def found_in(text: str) -> list[tuple[int, int, str]]:
    """What is to be taken out of the text: spans that do not overlap, and their kinds."""
    search = Search(text)
    search.run()
    if search.places is None:
        return search.spans
    places = search.places
    return [(places[start], places[end - 1] + 1, kind) for start, end, kind in search.spans]


class Search:
    """One reading of one text."""

    def __init__(self, text: str) -> None:
        self.shadow, self.places = (text, None) if text.isascii() else folded(text)
        self.spans: list[tuple[int, int, str]] = []
        if "[" in self.shadow:
            self.shadow = PLACEHOLDER.sub(lambda match: BLANK * len(match[0]), self.shadow)

    def run(self) -> None:
        """Ask each family that may find something; what is certain comes first."""
        shadow, plain = self.shadow, self.plain()
        if "-----BEGIN " in shadow and BEGIN_KEY.search(shadow):
            self.take(private_keys, "SECRET")
        if "://" in shadow and "@" in shadow:
            self.take(url_logins, "SECRET")
        words = plain.translate(TOKEN_CHARACTERS)
        long_words = LONG_TOKEN in words
        if long_words:
            self.take(lambda text: tokens(text, words), "SECRET")
        lowered = plain.lower()
        if b"bearer" in lowered or b"basic " in lowered:
            self.take(schemes, "SECRET")
        names = PASSWORD_NAMES
        if b"=" in plain or b":" in plain or long_words:
            names += SECRET_NAMES
        if any(name in lowered for name in names):
            self.take(lambda text: named(text, lowered), "SECRET")
        if "@" in shadow:
            self.take(mails, "EMAIL")
        if any(spelled in lowered for spelled in SPELLED_AT):
            self.take(spelled_mails, "EMAIL")
        self.run_numbers(self.plain() if self.spans else plain)

    def run_numbers(self, plain: bytes) -> None:
        """Ask the families that need digits."""
        same = plain.translate(SAME_DIGIT)
        if b":" in same and ("::" in self.shadow or b":::::::" in plain.translate(None, HEXADECIMAL)):
            self.take(ipv6, "IP")
        if b"0.0" in same and b"..." in plain.translate(None, DIGITS):
            self.take(lambda text: ipv4(text, same), "IP")
        squeezed = same.translate(None, NUMBER_SEPARATORS)
        if b"000" not in squeezed:
            return
        shape = plain.translate(SHAPES)
        if b"000000" not in squeezed and FISCALE_SHAPE not in shape:
            return
        found = len(self.spans)
        self.take_kinds(lambda text: codes(text, shape))
        if found < len(self.spans):
            same = self.plain().translate(SAME_DIGIT)
        self.take_kinds(lambda text: numbers(text, same))

    def plain(self) -> bytes:
        """The shadow with a byte for each character."""
        return self.shadow.encode("ascii", "replace")

    def take(self, find: Callable[[str], Iterator[tuple[int, int]]], kind: str) -> None:
        """Note and blank what a family of one kind finds."""
        self.take_kinds(lambda text: ((start, end, kind) for start, end in find(text)))

    def take_kinds(self, find: Callable[[str], Iterator[tuple[int, int, str]]]) -> None:
        """Note and blank what a family finds."""
        done = 0
        pieces = []
        for start, end, kind in sorted(find(self.shadow)):
            if start < done or end <= start or BLANK in self.shadow[start:end]:
                continue
            self.spans.append((start, end, kind))
            pieces += self.shadow[done:start], BLANK * (end - start)
            done = end
        if pieces:
            self.shadow = "".join([*pieces, self.shadow[done:]])
