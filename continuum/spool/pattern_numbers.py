"""Numbers that stand for a person: cards, phones and national ids that are runs of digits.

Runs of six digits or more, with separators between, are found in one search; what they are is asked only of them. A form that
cannot be mistaken is enough. A bare run of digits needs its check digit and a word that says what it is, and a word like
`order` before it saves it.
"""

import re
from collections.abc import Callable, Iterator

from continuum.spool import pattern_checks as checks
from continuum.spool.pattern_context import CARD_WORDS, PHONE_WORDS, UNIT, said_to_be, said_to_be_other, stands_alone

RUN = re.compile(r"(?<![0-9])(?:\(?\+ ?\(?|\()?[0-9](?:[ .\-/()]{0,3}+[0-9]){5,}+")
GROUP = re.compile("[0-9]+")
CARD = re.compile(
    r"(?<![0-9])(?:[0-9]{4}([ .-]{1,2})[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?P<more>\1[0-9]{1,3})?"
    r"|3[0-9]{3}([ .-]{1,2})[0-9]{6}\3[0-9]{4,5}|(?P<bare>[0-9]{13,19}))(?![0-9])"
)
DATE = re.compile(
    r"(?<![0-9])(?:(?:19|20)[0-9]{2}([-./])[01]?[0-9]\1[0-3]?[0-9]|[0-3]?[0-9]([-./ ])[0-3]?[0-9]\2(?:19|20)[0-9]{2}|(?:19|20)[0-9]{2} ?- ?(?:19|20)[0-9]{2})(?![0-9])"
)

COUNTRY = "(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-469][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[7-9][0-9]|8[058][0-9]|9[679][0-9])"
INTERNATIONAL = re.compile(rf"\(?\+ ?\(?{COUNTRY}\)?(?:[ .\-/]{{0,2}}\(?[0-9]{{1,14}}\)?){{1,7}}")
DOUBLE_ZERO = re.compile(rf"\(?00 ?{COUNTRY}\)?(?:[ .\-/]{{0,2}}\(?[0-9]{{1,14}}\)?){{1,7}}")
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
    r"1?[2-9][0-9]{2}[2-9][0-9]{6}|0[1-9][0-9]{6,10}|[6789][0-9]{8}|[2-9][0-9]{2}[ .-]?[0-9]{4}|[0-9]{2,5}[ .\-/][0-9 .\-/]{4,12}|[6789][0-9]{2}\.[0-9]{3}\.[0-9]{3}"
)

Found = Iterator[tuple[int, int, str]]

ID_WORDS = {
    "us": re.compile(r"\bssn\b|social security|\bitin\b|taxpayer|\btin\b|\bsocial\b"),
    "nhs": re.compile(r"\bnhs\b"),
    "de": re.compile(r"steuer(?:[- ]?id\b|nummer|\w*)|\bidnr|\bid-nr|\btin\b|identifikation\w*|\btax id|finanzamt|sozialvers|rentenvers|\bsv-"),
    "fr": re.compile(r"s[eé]cu|\bnir\b|\binsee\b|carte vitale|assur[eé]|\bn°? ?ss\b"),
    "es": re.compile(r"\bdni\b|\bnie\b|\bnif\b|documento|seguridad social|\bnuss\b|\bnaf\b|afiliaci[oó]n|\bn\.?s\.?s\b"),
    "nl": re.compile(r"\bbsn\b|burgerservice|sofi"),
    "br": re.compile(r"\bcpf\b"),
    "in": re.compile(r"aadha?ar|\buid\b|uidai"),
    "pl": re.compile(r"pesel"),
    "ca": re.compile(r"\bsin\b|social insurance"),
}  # fmt: skip

# Digits, whose words, check: what a bare run is when a word before it says so.
BARE_IDS: dict[int, tuple[tuple[str, Callable[[str], bool]], ...]] = {
    9: (("us", checks.ssn), ("nl", checks.bsn), ("ca", checks.sin)),
    10: (("nhs", checks.nhs),),
    11: (("de", checks.steuer_id), ("br", checks.cpf), ("pl", checks.pesel)),
    12: (("in", checks.aadhaar), ("es", checks.seguridad_social)),
    15: (("fr", checks.nir),),
}
SSN = re.compile(r"(?<![0-9])[0-9]{3}([- ])[0-9]{2}\1[0-9]{4}(?![0-9])")
STEUER_ID = re.compile(r"(?<![0-9])[1-9][0-9][ ][0-9]{3}[ ][0-9]{3}[ ][0-9]{3}(?![0-9])")
CPF = re.compile(r"(?<![0-9])[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?![0-9])")
NIR = re.compile(
    r"(?<![0-9])[12][ .-]?[0-9]{2}[ .-]?(?:0[1-9]|1[0-2]|[2-9][0-9])[ .-]?(?:[0-9]{2}|2[ABab])[ .-]?[0-9]{3}[ .-]?[0-9]{3}[ .\-/|]{0,3}[0-9]{2}(?![0-9])"
)
DNI = re.compile(r"(?<![0-9])(?:[0-9]{8}|[0-9]{1,2}([. ])[0-9]{3}\1[0-9]{3})[ .-]?[A-Za-z](?![A-Za-z0-9])")
PENSION = re.compile(r"(?<![0-9])[0-9]{2}[ ]?[0-9]{6}[ ]?[A-Za-z][ ]?[0-9]{3}(?![0-9])")
SEPARATORS = str.maketrans("", "", " .-/()|")


def numbers(text: str) -> Found:
    """What the runs of digits in the text are: `(start, end, kind)`."""
    for run in RUN.finditer(text):
        yield from kinds_of(text, *run.span())


def kinds_of(text: str, start: int, end: int) -> Found:
    """What is in one run of digits: ids and cards first, phones in what is left."""
    taken: list[tuple[int, int]] = []
    # Ids may end in letters or hold one, so they reach a few characters beyond the run.
    for kind, spans in (("NATIONAL_ID", formed_ids(text, start, end)), ("CARD", cards(text, start, end))):
        for span in spans:
            if not overlaps(taken, span):
                taken.append(span)
                yield *span, kind
    yield from pieces(text, start, end, taken)


def overlaps(taken: list[tuple[int, int]], span: tuple[int, int]) -> bool:
    """Whether a span has something in common with one of these."""
    return any(span[0] < end and start < span[1] for start, end in taken)


def formed_ids(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """National ids in the form in which they are written, with a valid check."""
    reach = min(len(text), end + 8)
    size = end - start
    if size >= 9:
        for found in SSN.finditer(text, start, end + 1):
            spaced = found[1] == " "
            if checks.ssn(digits_of(found[0])) and stands_alone(text, *found.span()):
                named = said_to_be(ID_WORDS["us"], text, *found.span())
                if named or not (spaced or said_to_be_other(ID_WORDS["us"], text, found.start())):
                    yield found.span()
    if size >= 11:
        for found in STEUER_ID.finditer(text, start, end + 1):
            if checks.steuer_id(digits_of(found[0])) and stands_alone(text, *found.span()):
                yield found.span()
        for found in CPF.finditer(text, start, end + 1):
            if checks.cpf(digits_of(found[0])) and stands_alone(text, *found.span()):
                yield found.span()
    for pattern, check, words in ((NIR, checks.nir, "fr"), (DNI, checks.dni, "es"), (PENSION, checks.sozialversicherung, "de")):
        for found in pattern.finditer(text, start, reach + 8 if pattern is NIR else reach):
            other = said_to_be_other(ID_WORDS[words], text, found.start())
            if not other and stands_alone(text, *found.span()) and check(digits_of(found[0])):
                yield found.span()


def cards(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Card numbers: in groups they are unmistakable, bare ones are taken unless the words before say that they are something else."""
    if end - start < 13:
        return
    for found in CARD.finditer(text, start, end + 1):
        first, stop = found.span()
        if found["more"] and checks.card(digits_of(text[first : found.start("more")])):
            stop = found.start("more")
        if not (checks.card(digits_of(text[first:stop])) and stands_alone(text, first, stop)):
            continue
        if found["bare"] is None or not said_to_be_other(CARD_WORDS, text, first):
            yield first, stop


def pieces(text: str, start: int, end: int, taken: list[tuple[int, int]]) -> Found:
    """Phones and bare ids in a run: from each group of digits the longest stretch that is one."""
    groups = [group.span() for group in GROUP.finditer(text, start, end)]
    at = 0
    while at < len(groups):
        step = 1
        digits = 0
        stretches = []
        for last in range(at, min(at + 8, len(groups))):
            digits += groups[last][1] - groups[last][0]
            if digits > 17:
                break
            if digits >= 7:
                stretches.append((last, digits))
        for last, digits in reversed(stretches):
            stop = groups[last][1]
            first = opening(text, start, groups[at][0], stop)
            if overlaps(taken, (first, stop)):
                continue
            kind = kind_of(text, outset(text, groups, at, first), first, stop, digits)
            if kind:
                yield first, stop, kind
                step = last - at + 1
                break
        at += step


def outset(text: str, groups: list[tuple[int, int]], at: int, first: int) -> int:
    """Where the number may begin that a stretch is the rest of: short groups, one space apart, as in tracking numbers."""
    while at and text[first] != "(" and groups[at - 1][1] - groups[at - 1][0] <= 4 and groups[at][0] - groups[at - 1][1] == 1:
        at -= 1
        first = groups[at][0]
    return first


def opening(text: str, start: int, first: int, stop: int) -> int:
    """Where a number begins that has `+` or a bracket before its first digit."""
    while first > start and (
        text[first - 1] == "+" or (text[first - 1] == "(" and text.count(")", first, stop) > text.count("(", first, stop))
    ):
        first -= 1
    if first - 1 >= start and text[first - 1] == " " and text[max(start, first - 2) : first - 1] == "+":
        first -= 2
    return first


def kind_of(text: str, run: int, start: int, end: int, digits: int) -> str | None:
    """What a stretch of digits and separators is."""
    stretch = text[start:end]
    bare = digits_of(stretch).lstrip("+")
    for words, check in BARE_IDS.get(digits, ()):
        if check(bare) and said_to_be(ID_WORDS[words], text, start, end) and stands_alone(text, start, end):
            return "NATIONAL_ID"
    return "PHONE" if is_phone(text, run, start, end, digits) and stands_alone(text, start, end) else None


def is_phone(text: str, run: int, start: int, end: int, digits: int) -> bool:
    """Whether a stretch is a phone number, by its form and by the words around it, or around the run that it is a piece of."""
    stretch = text[start:end]
    if "+" in stretch:
        return 8 <= digits <= 16 and INTERNATIONAL.fullmatch(stretch) is not None
    if DATE.search(stretch) or UNIT.match(text, end):
        return False
    if DOUBLE_ZERO.fullmatch(stretch) and 11 <= digits <= 16:
        return not said_to_be_other(PHONE_WORDS, text, run)
    if (7 <= digits <= 13) and (GROUPED.fullmatch(stretch) and digits >= 9 or MOBILE.fullmatch(stretch)):
        return not said_to_be_other(PHONE_WORDS, text, run)
    return digits <= 13 and ANY_PHONE.fullmatch(stretch) is not None and said_to_be(PHONE_WORDS, text, start, end)


def digits_of(text: str) -> str:
    """The text without separators."""
    return text.translate(SEPARATORS)
