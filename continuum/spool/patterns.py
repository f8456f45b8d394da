"""The built-in redactor: patterns behind cheap literal checks, so that clean text costs next to nothing.

Text is searched as a shadow of itself: foreign digits and full-width signs become the plain ones, invisible characters
disappear, and what was found is blanked so that nothing is found twice. Each family of patterns is asked only when a search at
the speed of C (`in`, `bytes.translate`) says that it may find something.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

from continuum.spool.pattern_addresses import ipv4, ipv6, mails, spelled_mails
from continuum.spool.pattern_codes import FISCALE_SHAPE, SHAPES, codes
from continuum.spool.pattern_numbers import numbers
from continuum.spool.pattern_secrets import BEARER, BEGIN_KEY, NAMES, named, private_keys, schemes, tokens, url_logins

KINDS = ("EMAIL", "PHONE", "CARD", "IBAN", "SECRET", "IP", "NATIONAL_ID")
"""What is found, as it stands in the placeholders."""
PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(KINDS)})\]")
BLANK = "\x00"

MAX_PASSES = 8
"""What is taken out can lay bare what stood beside it, so text is read until nothing more is found; twice is the rule."""

DIGITS = b"0123456789"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SAME_DIGIT = bytes.maketrans(DIGITS, b"0" * 10)
NUMBER_SEPARATORS = b" .-/()"
TOKEN_CHARACTERS = bytes.maketrans(LETTERS + DIGITS + b"_-", b"a" * 64)
LONG_TOKEN = b"a" * 16

ODD = re.compile(
    "[\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u2000-\u2015\u2024\u2028-\u202f\u205f-\u206f\u2212\u3000\u3002\ufe00-\ufe0f"
    "\ufe52\ufe63\ufe6b\ufeff\uff01-\uff5e\uff61\U000e0000-\U000e0fff]|[^\\D0-9]"
)
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)


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
        self.shadow, self.places = (text, None) if is_plain(text) else folded(text)
        self.spans: list[tuple[int, int, str]] = []
        if "[" in self.shadow:
            self.shadow = PLACEHOLDER.sub(lambda match: BLANK * len(match[0]), self.shadow)

    def run(self) -> None:
        """Ask each family that may find something; what is certain comes first."""
        plain = self.shadow.encode("ascii", "replace")
        if "-----BEGIN " in self.shadow and BEGIN_KEY.search(self.shadow):
            self.take(private_keys, "SECRET")
        if "://" in self.shadow and "@" in self.shadow:
            self.take(url_logins, "SECRET")
        if LONG_TOKEN in plain.translate(TOKEN_CHARACTERS):
            self.take(tokens, "SECRET")
        lowered = plain.lower()
        if BEARER.search(lowered):
            self.take(schemes, "SECRET")
        if any(name in lowered for name in NAMES):
            self.take(lambda text: named(text, lowered), "SECRET")
        if "@" in self.shadow:
            self.take(mails, "EMAIL")
        if b"(at)" in lowered or b"[at]" in lowered or b"{at}" in lowered:
            self.take(spelled_mails, "EMAIL")
        self.run_numbers(plain)

    def run_numbers(self, plain: bytes) -> None:
        """Ask the families that need digits."""
        same = plain.translate(SAME_DIGIT)
        if b"." in same and b"0.0" in same and b"..." in plain.translate(None, DIGITS):
            self.take(ipv4, "IP")
        if b":" in same and ("::" in self.shadow or b":::::::" in plain.translate(None, DIGITS + b"abcdefABCDEF")):
            self.take(ipv6, "IP")
        squeezed = same.translate(None, NUMBER_SEPARATORS)
        if b"000000" in squeezed:
            shape = plain.translate(SHAPES)
            self.take_kinds(lambda text: codes(text, shape))
            self.take_kinds(numbers)
        elif b"000" in squeezed:
            shape = plain.translate(SHAPES)
            if any(literal in shape for literal in FISCALE_SHAPE):
                self.take_kinds(lambda text: codes(text, shape))

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


def is_plain(text: str) -> bool:
    """Whether text is its own shadow."""
    return text.isascii() or not ODD.search(text)


def folded(text: str) -> tuple[str, list[int] | None]:
    """The shadow of a text, and for each of its characters the place in the text; None where the places are the same."""
    shadow = ODD.sub(lambda match: plain_form(match[0]), text)
    if len(shadow) == len(text):
        return shadow, None
    places = [place for place, character in enumerate(text) if not INVISIBLE.match(character)]
    return shadow, places


def plain_form(character: str) -> str:
    """The ASCII character that this one stands for; nothing for an invisible one."""
    code = ord(character)
    if INVISIBLE.match(character):
        return ""
    if 0xFF01 <= code <= 0xFF5E:
        return chr(code - 0xFEE0)
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if 0x2010 <= code <= 0x2015 or character in "\u2212\ufe63":
        return "-"
    return {"\ufe6b": "@", "\u3002": ".", "\uff61": ".", "\u2024": ".", "\ufe52": "."}.get(
        character, "\n" if code in (0x2028, 0x2029) else " "
    )
