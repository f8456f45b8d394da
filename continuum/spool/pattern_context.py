"""What stands around a number and says what it is: words before it, and the token it may be a part of."""

import re

BEFORE = 56
AFTER = 28
NEAR = 22
"""Characters before a number in which words are looked for, after it, and before it for words that save it."""

PHONE_WORDS = re.compile(
    r"phone|\bt[eé]l\b|t[eé]l[eé]|telefon|handy|mobil|m[oó]vil|\bmob\b|portable|\bcell|\bcall|\bring\b|\breach\b|\btext (?:me"
    r"|us|him|her)"
    r"|\bsms\b|whats ?app|signal|\bfax|my number|meine nummer|mon num[eé]ro|mi n[uú]mero|\bcontact|kontakt|anruf|ruf(?:en"
    r"|nummer|t)|erreich"
    r"|r[uü]ckruf|durchwahl|hold of me|get me on|localizar|\bph\b|(?:^|[\s|,;(])[tmf] ?[:.]? ?$|appel|joindre|joignable"
    r"|rappel|ll[aá]m|\bdial|voicemail|landline|festnetz"
)
OTHER_WORDS = re.compile(
    r"\border|invoice|tracking|shipment|shipping|parcel|package|ticket|\bcase\b|\bref\b|referen|\brma\b|\bsku\b|serial"
    r"|\bs/n\b|isbn|\bean\b|gtin"
    r"|\bupc\b|imei|iccid|\bpart\b|article|\bitem|product|\bmodel|customer|member|account n|version|\bbuild|commit|\bid\b"
    r"|transaction|\bbatch|\blot\b"
    r"|receipt|booking|confirmation|\bbestell|auftrag|rechnung|sendung|artikel|kunden|vorgang|serien|lieferschein|paket"
    r"|buchung|commande"
    r"|facture|suivi|colis|r[eé]f[eé]rence|dossier|num[eé]ro client|pedido|factura|seguimiento|env[ií]o|art[ií]culo"
    r"|n[uú]mero de cliente|expediente"
    r"|paquete|reserva|\btimestamp|\bepoch|\bport\b|siren\b|siret\b|\bvat\b|\btva\b|ust-id|\bcif\b|\bprice|\btotal|\bamount"
    r"|\bhash|error code|\bcode\b|\bzip\b|\bposition|\brow\b|\bseed\b|\bbytes"
)
CARD_WORDS = re.compile(
    r"\bcard|\bcc\b|visa|master ?card|amex|american express|maestro|discover|diners|kredit|karte|\bcarte|\bcb\b|tarjeta"
    r"|\bpan\b|credit|d[eé]bit"
)
VERSION_WORDS = re.compile(
    r"version|\bver\b|\bv\b|release|\bbuild|firmware|driver|kernel|upgrad|\bupdat|downgrad|\bsdk\b|section|kapitel|chapter"
)

BREAK = re.compile(r"\n(?=.)|\n\n|(?:(?<!\bno)(?<!nr)(?<!\bnum)(?<!\bref)(?<!t[eé]l)\.|[!?;)\]}])\s|[0-9][0-9.,:/-]{2}|\x00")
"""Where what a word says about the next number ends: at a line, at a sentence, at another number."""
CONNECTORS = (" or ", " oder ", " ou ", " o ", " and ", " und ", " et ", " y ", " e ", ", ", "/ ", "/", "& ")
"""What stands between two numbers of the same kind."""
MINE = re.compile(
    r"[ ,]{1,3}(?:is|ist|est|es) (?:my|meine?|mon|mi)\b|(?: is)? ?\(?(?:mobile|cell|home|work|office|handy|mobil|privat"
    r"|portable|m[oó]vil|fijo)\b(?! ?[:.])"
)
"""What people put behind their own number."""

CURRENCY = "$€£¥₹"
UNIT = re.compile(
    r" ?(?:[$€£¥₹%°]|(?:eur|usd|gbp|chf|euros?|dollars?|pounds?|kg|km|mm|cm|mb|gb|kb|ms|bytes|px|rows|tokens|steps)\b)",
    re.IGNORECASE,
)


def before(text: str, start: int) -> str:
    """The words before a number, in small letters."""
    return text[max(0, start - BEFORE) : start].lower().replace("_", " ")


def after(text: str, end: int) -> str:
    """The words after a number, in small letters."""
    return text[end : end + AFTER].lower()


def last(words: re.Pattern[str], text: str) -> int:
    """Where the last of the words ends in the text; -1 where there is none."""
    return max((match.end() for match in words.finditer(text)), default=-1)


def last_other(context: str) -> int:
    """Where the last word ends that says that the number is nothing personal: in the same sentence, no number between."""
    ends = [match.end() for match in BREAK.finditer(context)]
    start = max(ends[-1] if ends else 0, len(context) - NEAR)
    found = last(OTHER_WORDS, context[start:])
    return start + found if found >= 0 else -1


def said_to_be(words: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """Whether the nearest word that says what the number is, is one of these."""
    said = BREAK.split(without_the_first(before(text, start)))[-1]
    own, other = last(words, said), last(OTHER_WORDS, said)
    if own >= 0 or other >= 0:
        return own >= other
    return words is PHONE_WORDS and MINE.match(after(text, end)) is not None


def without_the_first(context: str) -> str:
    """The words before a number, less another number that it is joined to by `or`, or by a comma."""
    for connector in CONNECTORS:
        if context.endswith(connector):
            return context.removesuffix(connector).rstrip("0123456789 ,.-/()+\x00")
    return context


def said_to_be_other(words: re.Pattern[str], text: str, start: int) -> bool:
    """Whether the nearest word before the number says that it is an order, an invoice, a part, ..."""
    context = before(text, start)
    other = last_other(context)
    return other >= 0 and last(words, context) < other


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether what lies between is a token of its own, not a piece of a code, a path, a price or a decimal number."""
    first, second = text[start - 1 : start], text[start - 2 : start - 1] if start > 1 else ""
    if first.isalnum() or first in ("_", "#") or (first and first in CURRENCY):
        return False
    if first and ((first in "-/_\\" and (second.isalnum() or second == first)) or (first in ".,:" and second.isdigit())):
        return False
    if first == " " and second and second in CURRENCY:
        return False
    following, next_one = text[end : end + 1], text[end + 1 : end + 2]
    if following.isalnum() or following == "_" or following in ("%", "@"):
        return False
    if following and following in "-/\\" and next_one.isalnum():
        return False
    return not (following and following in ".,:" and next_one.isdigit())


def about_version(text: str, start: int) -> bool:
    """Whether the words just before four numbers say that they are a version."""
    return VERSION_WORDS.search(BREAK.split(before(text, start))[-1][-24:]) is not None
