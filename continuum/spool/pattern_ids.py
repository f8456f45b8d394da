"""National ids that are runs of digits, or nearly so: their forms, their checks, and the words that make bare digits one."""

import re
from collections.abc import Callable, Iterator

from continuum.spool import pattern_checks as checks
from continuum.spool.pattern_context import said_to_be, said_to_be_other, stands_alone

Span = tuple[int, int]

ID_WORDS = {
    "us": re.compile(r"\bssn\b|social security|\bitin\b|taxpayer|\btin\b|\bsocial\b"),
    "nhs": re.compile(r"\bnhs\b"),
    "de": re.compile(r"steuer(?:[- ]?id\b|nummer|\w*)|\bidnr|\bid-nr|\btin\b|identifikation\w*|\btax id|finanzamt|sozialvers"
                     r"|rentenvers|\bsv-"),
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
    r"(?<![0-9])[12][ .-]?[0-9]{2}[ .-]?(?:0[1-9]|1[0-2]|[2-9][0-9])[ .-]?(?:[0-9]{2}"
    r"|2[ABab])[ .-]?[0-9]{3}[ .-]?[0-9]{3}[ .\-/|]{0,3}[0-9]{2}(?![0-9])"
)
DNI = re.compile(r"(?<![0-9])(?:[0-9]{8}|[0-9]{1,2}([. ])[0-9]{3}\1[0-9]{3})[ .-]?[A-Za-z](?![A-Za-z0-9])")
PENSION = re.compile(r"(?<![0-9])[0-9]{2}[ ]?[0-9]{6}[ ]?[A-Za-z][ ]?[0-9]{3}(?![0-9])")
LONE_LETTER = re.compile("[ .-]?([A-Za-z])(?![A-Za-z])")
SEPARATORS = str.maketrans("", "", " .-/()|+")


def digits_of(text: str) -> str:
    """The text without separators."""
    return text.translate(SEPARATORS)


def formed_ids(text: str, start: int, end: int, same: bytes) -> Iterator[Span]:
    """National ids around a run of digits, in the form in which they are written, with a valid check.

    `same` is the run with every digit a zero: it says which patterns are worth trying.
    """
    if b"000-00-0000" in same or b"000 00 0000" in same:
        yield from us_numbers(text, start, end)
    if b"00 000 000 000" in same:
        yield from checked(STEUER_ID, checks.steuer_id, "de", text, start, end + 1)
    if b"000.000.000-00" in same:
        yield from checked(CPF, checks.cpf, "br", text, start, end + 1)
    # These hold letters or end in one, so they reach a few characters beyond the run.
    letter = LONE_LETTER.match(text, end)
    if letter:
        if any(form in same for form in (b"0000000", b"000.000", b"000 000", b"00 000000")):
            yield from checked(DNI, checks.dni, "es", text, start, end + 3)
            yield from checked(PENSION, checks.sozialversicherung, "de", text, start, end + 6)
        if letter[1] in "ABab":
            yield from checked(NIR, checks.nir, "fr", text, start, end + 20)
    if len(same) >= 15:
        yield from checked(NIR, checks.nir, "fr", text, start, end + 6)


def us_numbers(text: str, start: int, end: int) -> Iterator[Span]:
    """Social security numbers with dashes, or with spaces behind a word that says so."""
    for found in SSN.finditer(text, start, end + 1):
        if checks.ssn(digits_of(found[0])) and stands_alone(text, *found.span()):
            named = said_to_be(ID_WORDS["us"], text, *found.span())
            if named or (found[1] == "-" and not said_to_be_other(ID_WORDS["us"], text, found.start())):
                yield found.span()


def checked(
    pattern: re.Pattern[str], check: Callable[[str], bool], words: str, text: str, start: int, end: int
) -> Iterator[Span]:
    """What has a form, passes the check, and is not said to be something else."""
    for found in pattern.finditer(text, start, min(end, len(text))):
        valid = check(digits_of(found[0])) and stands_alone(text, *found.span())
        if valid and not said_to_be_other(ID_WORDS[words], text, found.start()):
            yield found.span()


def is_bare_id(text: str, start: int, end: int, size: int) -> bool:
    """Whether a number of so many digits is a national id: a word before it says so, and the check digit agrees."""
    candidates = BARE_IDS.get(size)
    if not candidates:
        return False
    digits = digits_of(text[start:end])
    return any(check(digits) and said_to_be(ID_WORDS[words], text, start, end) for words, check in candidates)
