"""The ways in which a text can be read: as it stands, and as what was encoded, disguised or hidden to be overlooked.

A reading is only made where something in the text invites it, so that plain text is read once.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from continuum.judging.ciphers import broken_into_words, deciphered, from_table, letters_of_numbers, unscrambled

LONGEST = 8_000
"""Characters of an encoded piece that are read."""
DEPTH = 2
"""How often something decoded is decoded again."""


@dataclass(frozen=True)
class Reading:
    """One way to read a text."""

    how: str
    """Empty for the text as it stands."""
    text: str


# Cyrillic, Greek and other letters that look like a Latin one; letters in squares and circles, of flags, small or turned.
_PAIRS = (
    "аa вb сc ԁd еe ҽe ɡg һh іi їi јj кk κk ӏl ʟl мm пn ոn оo οo рp ρp ԛq гr ѕs тt τt υu սu ѵv νv шw ԝw хx χx уy γy ᴢz "
    "αa βb εe ηn ιi μm ςs ωw АA ВB СC ЕE НH ІI ЈJ КK МM ОO РP ЅS ТT ХX УY ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX "
    "ᴀa ʙb ᴄc ᴅd ᴇe ғf ɢg ʜh ɪi ᴊj ᴋk ᴍm ɴn ᴏo ᴘp ǫq ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ɐa ɔc ǝe ɟf ƃg ɥh ᴉi ɾj ʞk ɯm ɹr ʇt ʌv ʍw ʎy "
    "ɑa ıi ŀl ɩi"
)
_LOOKALIKES = {ord(pair[0]): pair[-1] for pair in _PAIRS.split() if len(pair) == 2}
_LOOKALIKES |= {start + n: chr(97 + n) for start in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6) for n in range(26)}
_LOOKALIKE = re.compile("[" + "".join(re.escape(chr(code)) for code in _LOOKALIKES) + "]")
_LATIN = re.compile("[A-Za-z]")
_LEET_WORD = re.compile(r"(?<![\w.@$!|])(?=[\w@$!|]{0,20}[A-Za-z])(?=[\w@$!|]{0,20}[0-9@$!|][\w@$!|])[\w@$!|]{3,40}")
_LEET_SIGN = re.compile(r"[A-Za-z][0-9@$!|]+[A-Za-z]")
_LEET = str.maketrans("0134578@$!|9", "oieastbasilg")

_TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{6,}")
_ZERO_WIDTH_BITS = re.compile("[\u200b\u200c\u200d\u2060\ufeff]{32,}")
_SPACED = re.compile(r"(?<!\w)(?:[^\W_][^\w\n]{1,3}|[^\W_]\n|[^\W_]_){5,}[^\W_](?!\w)")
_SPACED_GAP = re.compile(r"[^\w]{2,}|_{2,}|(?<=\w)\s*[/|]\s*(?=\w)")
_SPLIT_WORD = re.compile(r"(?<=[^\W\d_])(?:[*_~`|·•‧.+\\^=-]{1,3}|</?\w{1,8}/?>|\{\}|\[\]|['\"]\s*[+,&.]?\s*['\"])(?=[^\W\d_])")
_HUMP = re.compile("[a-z][A-Z]")
_HUMPS = re.compile(r"\b[A-Za-z][a-z]+(?:[A-Z][a-z]+){2,}\b")
_RUN_TOGETHER = re.compile(r"[A-Za-z]{20,}")
_BASE64 = re.compile(r"(?<![\w+/=-])(?:[A-Za-z0-9+/_-]{16,}\s?)+={0,2}")
_BASE32 = re.compile(r"(?<![A-Z0-9])[A-Z2-7]{24,}={0,6}")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:(?:0x|\\x|=)?[0-9a-fA-F]{2}[\s,:;-]{0,2}){10,}")
_BINARY = re.compile(r"(?<!\d)(?:[01]{7,8}[\s,]{0,2}){5,}")
_DECIMAL = re.compile(r"(?<!\d)(?:\d{2,3}[\s,;]{1,2}){8,}\d{2,3}")
_DIGITS = re.compile(r"\d[\s,;./-]{0,3}\d{1,8}[\s,;./-]{1,3}\d{1,8}[\s,;./-]{1,3}\d|\d{16}")
_ORDINALS = re.compile(r"(?<!\d)(?:(?:[1-9]|1\d|2[0-6])[\s,./-]{1,3}){9,}\d{1,2}(?!\d)")
_ESCAPE = re.compile(r"\\(?:u\{?([0-9a-fA-F]{2,6})\}?|x([0-9a-fA-F]{2})|([0-3]?[0-7]{2}))")
_ENTITY = re.compile(r"&(?:#\w{2,7}|[a-zA-Z]{2,10});")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_MORSE = re.compile(r"(?:[.·•−–_-]{1,6}(?:\s|/|\|)+){8,}[.·•−–_-]{1,6}")
_BRAILLE = re.compile("[\u2800-\u283f]{5,}")
_LINE_START = re.compile(r"^[^\w\n]{0,9}(\w)", re.MULTILINE)
_SENTENCE_START = re.compile(r"(?:^|[.!?]\s{1,3})[^\w\s]{0,3}(\w)")


def readings(text: str, depth: int = DEPTH) -> Iterator[Reading]:
    """The text as it stands, without what hides in it, and each other way that something in it invites to read it."""
    for piece in _smuggled(text):
        yield Reading("invisible characters", piece)
    for how, made in _respelt(text):
        yield Reading(how, made)
    for how, piece in _decoded(text):
        if piece != text:
            yield Reading(how, piece)
            if depth > 1:
                yield from readings(piece, depth - 1)


def _smuggled(text: str) -> Iterator[str]:
    if text.isascii():
        return
    for run in _TAGS.findall(text):
        yield "".join(chr(ord(c) - 0xE0000) for c in run)
    for run in _SELECTORS.findall(text):
        codes = (ord(c) - 0xFE00 if ord(c) < 0xFF00 else ord(c) - 0xE0100 + 16 for c in run)
        yield bytes(code for code in codes if code < 256).decode("utf-8", "replace")
    for run in _ZERO_WIDTH_BITS.findall(text):
        for one in sorted(set(run)):
            yield _bytes_of("".join("1" if c == one else "0" for c in run))


def _respelt(text: str) -> Iterator[tuple[str, str]]:
    if not text.isascii():
        if _LOOKALIKE.search(text) and (_LATIN.search(text) or not re.search("[аеиоуы]{1}[бджзлфц]|[бджзлфц][аеиоуы]", text)):
            yield "lookalike letters", text.translate(_LOOKALIKES)
        for run in _BRAILLE.findall(text):
            yield "braille", from_table("braille", run)
    if _LEET_SIGN.search(text) and len(_LEET_WORD.findall(text)) >= 3:
        yield "digits for letters", _LEET_WORD.sub(lambda word: word[0].translate(_LEET), text)
    if spaced := _SPACED.findall(text):
        yield "letters set apart", " ".join(map(_closed_up, spaced))
    if len(_SPLIT_WORD.findall(text)) >= 3:
        yield "words broken up", _SPLIT_WORD.sub("", text)
    humps = [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", run) for run in _HUMPS.findall(text)] if _HUMP.search(text) else []
    runs = [broken_into_words(run) for run in _RUN_TOGETHER.findall(text)]
    if together := " ".join(filter(None, (*humps, *runs))):
        yield "words run together", together
    for starts in (_LINE_START.findall(text), _SENTENCE_START.findall(text)):
        if 7 <= len(starts) <= 400 and (letters := broken_into_words("".join(starts))):
            yield "first letters", letters
    if scrambled := unscrambled(text):
        yield "letters in disorder", scrambled
    yield from deciphered(text)


def _closed_up(run: str) -> str:
    words = [re.sub(r"[\W_]", "", word) for word in _SPACED_GAP.split(run)]
    together = "".join(words)
    # Where every gap is as wide, nothing tells words from letters.
    return broken_into_words(together) if max(map(len, words)) <= 1 or len(words) == 1 else " ".join(words)


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    if "&" in text and len(_ENTITY.findall(text)) >= 3:
        yield "character entities", html.unescape(text)
    if "%" in text and len(_PERCENT.findall(text)) >= 3:
        yield "percent encoding", unquote(text, errors="replace")
    if "\\" in text and len(_ESCAPE.findall(text)) >= 4:
        yield "escaped characters", _ESCAPE.sub(_escaped, text)
    signs = {
        "digits": _DIGITS.search(text) is not None,
        "strokes": any(sign in text for sign in (".-", "-.", "·", "•", "–", "−")),
    }
    for how, pattern, decode, sign in _ENCODINGS:
        if sign and not signs[sign]:
            continue
        for run in pattern.findall(text):
            if piece := _readable(decode, run[:LONGEST]):
                yield how, piece


def _escaped(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16) if match[1] or match[2] else int(match[3], 8)
    return chr(code) if code < 0x110000 else ""


def _readable(decode: Callable[[str], str], run: str) -> str:
    try:
        piece = decode(run)
    except (ValueError, binascii.Error, OverflowError):
        return ""
    return piece if len(piece) >= 5 and sum(c.isprintable() or c.isspace() for c in piece) >= 0.9 * len(piece) else ""


def _from_base64(run: str) -> str:
    plain = re.sub(r"\s", "", run).rstrip("=").replace("-", "+").replace("_", "/")
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8")


def _from_base32(run: str) -> str:
    plain = run.rstrip("=")
    return base64.b32decode(plain + "=" * (-len(plain) % 8)).decode("utf-8")


def _from_hex(run: str) -> str:
    digits = re.sub(r"0x|\\x|[^0-9a-fA-F]", "", run)
    return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8")


def _bytes_of(bits: str) -> str:
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)).decode("utf-8", "replace")


def _from_binary(run: str) -> str:
    groups = re.findall(r"[01]+", run)
    return _bytes_of("".join(group.zfill(8) if len(groups) > 1 else group for group in groups))


def _from_decimal(run: str) -> str:
    codes = list(map(int, re.findall(r"\d+", run)))
    return "".join(map(chr, codes)) if all(9 <= code < 256 for code in codes) else ""


# The last tells what must be in the text before it is worth to look.
_ENCODINGS: tuple[tuple[str, re.Pattern[str], Callable[[str], str], str], ...] = (
    ("base64", _BASE64, _from_base64, ""),
    ("base32", _BASE32, _from_base32, ""),
    ("hexadecimal", _HEX, _from_hex, ""),
    ("binary", _BINARY, _from_binary, "digits"),
    ("character codes", _DECIMAL, _from_decimal, "digits"),
    ("letters as numbers", _ORDINALS, letters_of_numbers, "digits"),
    ("morse", _MORSE, lambda run: from_table("morse", run), "strokes"),
)
