"""The shadow of a text: foreign digits and full-width signs as the plain ones, invisible characters gone."""

import re
import unicodedata
from functools import lru_cache

INVISIBLE = re.compile(
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff"
    "]"
)
SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
SIGNS = {
    "\ufe6b": "@",
    "\u3002": ".",
    "\uff61": ".",
    "\u2024": ".",
    "\ufe52": ".",
    "\u2212": "-",
    "\ufe63": "-",
    "\u2028": "\n",
    "\u2029": "\n",
}

MAX_REPLACED = 24
"""Different characters that are replaced one after the other; with more, the text is gone through character by character."""


def folded(text: str) -> tuple[str, list[int] | None]:
    """The shadow of a text, and for each of its characters the place in the text; None where the places are the same."""
    changes = {
        character: plain for character in set(text) if character > "\x7f" and (plain := plain_form(character)) != character
    }
    if not changes:
        return text, None
    if len(changes) > MAX_REPLACED:
        shadow = text.translate(str.maketrans(changes))
    else:
        shadow = text
        for character, plain in changes.items():
            shadow = shadow.replace(character, plain)
    if len(shadow) == len(text):
        return shadow, None
    return shadow, [place for place, character in enumerate(text) if changes.get(character) != ""]


@lru_cache(maxsize=4096)
def plain_form(character: str) -> str:
    """The ASCII character that this one stands for, nothing for an invisible one, and itself for any other."""
    if INVISIBLE.match(character):
        return ""
    if 0xFF01 <= ord(character) <= 0xFF5E:
        return chr(ord(character) - 0xFEE0)
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if "\u2010" <= character <= "\u2015":
        return "-"
    return " " if character in SPACES else SIGNS.get(character, character)
