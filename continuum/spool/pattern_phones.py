"""Phone numbers: the forms of the countries, and what makes a number that has none of them a phone number."""

import re

from continuum.spool.pattern_context import PHONE_WORDS, UNIT, said_to_be, said_to_be_other

DATE = re.compile(
    r"(?<![0-9])(?:(?:19|20)[0-9]{2}([-./])[01]?[0-9]\1[0-3]?[0-9]|[0-3]?[0-9]([-./ ])[0-3]?[0-9]\2(?:19|20)[0-9]{2}|(?:19"
    r"|20)[0-9]{2} ?- ?(?:19|20)[0-9]{2})(?![0-9])"
)

COUNTRY = (
    "(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    "|2[1-469][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[7-9][0-9]|8[058][0-9]|9[679][0-9])"
)
GROUPS = r"(?:(?:[ .\-/]| [-/] |  )?\(?[0-9]{1,14}\)?){1,7}"
INTERNATIONAL = re.compile(rf"\(?\+ ?\(?(?P<country>{COUNTRY})\)?{GROUPS}")
DOUBLE_ZERO = re.compile(rf"\(?00 ?{COUNTRY}\)?{GROUPS}")
LENGTHS = {
    "1": (10,), "31": (9,), "32": (8, 9), "33": (9,), "34": (9,), "41": (9,), "44": (9, 10), "45": (8,), "47": (8,), "48": (9,),
    "91": (10,), "351": (9,),
}  # fmt: skip
"""Digits behind the country's code, where they are always so many."""
GROUPED = re.compile(
    r"(?:1[ .-]?)?(?:\([2-9][0-9]{2}\)[ -]{0,2}|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}"  # North America
    r"|(?:1[ .-]?)?(?:\([2-9][0-9]{2}\)[ -]{0,2}|[2-9][0-9]{2}-)[2-9][0-9]{6}"
    r"|0[1-9]([ .\-/])[0-9]{2}(?:\1[0-9]{2}){3}"  # France
    r"|\(?0[1-9][0-9]{1,4}\)?(?:[ ]?[/.-][ ]?|[ ]|(?<=\)))[0-9]{2,9}(?:[ .-][0-9]{2,6}){0,4}"  # Britain, Germany, Italy
    r"|[6789][0-9]{2}([ -])[0-9]{3}\2[0-9]{3}|[6789][0-9]{2}([ .-])[0-9]{2}\3[0-9]{2}\3[0-9]{2}"  # Spain
    r"|\(?0 ?[1-9][0-9]{1,3}\)? ?/ ?[0-9]{2,3}(?: [0-9]{1,3}){1,4}"  # Germany, as typewriters had it
    r"|\(?[89][0-9]\)?([ .-])[0-9]{3}\4[0-9]{2}\4[0-9]{2}"
)
MOBILE = re.compile("0[67][0-9]{8}|07[1-9][0-9]{8}|01[567][0-9]{8,9}")
ANY_PHONE = re.compile(
    r"1?[2-9][0-9]{2}[2-9][0-9]{6}|0[1-9][0-9]{6,10}|[6789][0-9]{8}|[2-9][0-9]{2}[ .-]?[0-9]{4}"
    r"|[0-9]{2,5}[ .\-/][0-9 .\-/]{4,12}|[6789][0-9]{2}\.[0-9]{3}\.[0-9]{3}"
)


def is_phone(text: str, outset: int, start: int, end: int, digits: int) -> bool:
    """Whether a stretch of digits and separators is a phone number, by its form and by the words before it.

    Args:
        text: all of the text.
        outset: where the longer number begins that the stretch may be a piece of.
        start: where the stretch begins.
        end: where it ends.
        digits: how many of its characters are digits.
    """
    stretch = text[start:end]
    if "+" in stretch:
        found = INTERNATIONAL.fullmatch(stretch)
        return 8 <= digits <= 16 and found is not None and has_length_of(found["country"], stretch, digits)
    if digits + 1 < end - start and DATE.search(stretch):
        return False
    if stretch[:3].lstrip("(")[:2] == "00":
        formed = outset == start and 11 <= digits <= 16 and DOUBLE_ZERO.fullmatch(stretch)
    elif digits == end - start:
        formed = stretch[0] == "0" and MOBILE.fullmatch(stretch)
    else:
        # Blocks of four that go on from other blocks of four are the tail of an account or of a tracking number.
        tail = outset < start and text[start - 5 : start - 1].isdigit() and stretch[:4].isdigit()
        formed = not tail and 9 <= digits <= 13 and GROUPED.fullmatch(stretch)
    if formed:
        return not (UNIT.match(text, end) or said_to_be_other(PHONE_WORDS, text, outset))
    if digits > 13 or not ANY_PHONE.fullmatch(stretch):
        return False
    return said_to_be(PHONE_WORDS, text, start, end) and not UNIT.match(text, end)


def has_length_of(country: str, stretch: str, digits: int) -> bool:
    """Whether a number has as many digits as numbers of the country have; the zero of `(0)` is not dialled from abroad."""
    national = digits - len(country) - ("(0)" in stretch)
    return country not in LENGTHS or national in LENGTHS[country]
