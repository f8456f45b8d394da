"""Numbers made for documents: random ones of a form, and national ids with their check digits."""

import random
import string
from collections.abc import Callable


def pick(rng: random.Random, *choices: str) -> str:
    """One of the choices, with `#` as a digit and `%` as a digit from 2 to 9."""
    return "".join(str(rng.randint(0, 9)) if c == "#" else str(rng.randint(2, 9)) if c == "%" else c for c in rng.choice(choices))


def random_text(rng: random.Random, alphabet: str, size: int) -> str:
    """So many characters of an alphabet, with at least one digit where the alphabet has any."""
    made = [rng.choice(alphabet) for _ in range(size)]
    if any(map(str.isdigit, alphabet)):
        made[size // 2] = rng.choice(string.digits)
    return "".join(made)


def with_luhn(digits: str) -> str:
    """The digits and the one that completes them."""
    doubled = [int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(digits))]
    return digits + str(-sum(d - 9 if d > 9 else d for d in doubled) % 10)


def grouped(text: str, sizes: tuple[int, ...], separator: str) -> str:
    """The text cut into groups of these sizes; the last size repeats."""
    parts, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[min(turn, len(sizes) - 1)]
        parts.append(text[at : at + size])
        at, turn = at + size, turn + 1
    return separator.join(parts)


def a_national_id(rng: random.Random, locale: str) -> tuple[str, str]:
    """The numbers by which the state knows people, with their check digits, in the forms of letters, cards and chats."""
    return rng.choice(IDS[locale])(rng)


def an_ssn(rng: random.Random) -> tuple[str, str]:
    """US social security number or taxpayer number."""
    digits = f"{rng.choice([*range(1, 666), *range(667, 900)]):03}{rng.randint(1, 99):02}{rng.randint(1, 9999):04}"
    if rng.random() < 0.15:
        return "my ITIN: §", grouped(pick(rng, f"9##{rng.choice([70, 88, 93 + 1])}####"), (3, 2, 4), "-")
    form = rng.random()
    if form < 0.6:
        return rng.choice(["SSN: §", "§", "my social is §.", '{"ssn":"§"}', "verify: §"]), grouped(digits, (3, 2, 4), "-")
    return rng.choice(["ssn §", "my social security number is §.", '{"ssn": "§"}', "SSN §"]), grouped(
        digits, (3, 2, 4), " " if form < 0.8 else ""
    )


def a_nino(rng: random.Random) -> tuple[str, str]:
    """British national insurance number."""
    value = pick(rng, "AB######C", "JG######A", "PW######D", "CE######B", "SR######A")
    form = rng.random()
    value = grouped(value, (2, 2, 2, 2, 1), " ") if form < 0.5 else value
    if form > 0.9:
        return "my ni number is §", value.lower()
    return rng.choice(["NI number §", "§", "National Insurance: §.", '{"nino": "§"}', "(§)"]), value


def an_nhs_number(rng: random.Random) -> tuple[str, str]:
    """British health service number."""
    while True:
        body = pick(rng, "4########", "6########", "7########")
        check = (11 - sum(int(d) * (10 - place) for place, d in enumerate(body)) % 11) % 11
        if check < 10:
            return rng.choice(["NHS number §", "NHS No: §", '{"nhs_number": "§"}']), grouped(
                f"{body}{check}", (3, 3, 4), rng.choice([" ", " ", "-", ""])
            )


def a_steuer_id(rng: random.Random) -> tuple[str, str]:
    """German tax id: nine different digits, one of them twice."""
    body = rng.sample("1234567890", 9)
    body.insert(rng.randint(1, 9), rng.choice(body))
    while body[0] == "0":
        rng.shuffle(body)
    product = 10
    for digit in body:
        total = (int(digit) + product) % 10
        product = (10 if total == 0 else total) * 2 % 11
    value = "".join(body) + str((11 - product) % 10)
    frame = rng.choice(
        [
            "Steuer-ID: §",
            "Meine Steueridentifikationsnummer ist §.",
            "IdNr. §",
            '{"steuer_id": "§"}',
            "Finanzamt, § (Steuernummer)",
        ]
    )
    return frame, grouped(value, (2, 3, 3, 3), rng.choice([" ", " ", ""]))


def a_pension_number(rng: random.Random) -> tuple[str, str]:
    """German pension insurance number."""
    body = f"{rng.choice(['12', '53', '65'])}{rng.randint(1, 28):02}{rng.randint(1, 12):02}{pick(rng, '##')}"
    letter, serial = rng.choice(string.ascii_uppercase), pick(rng, "##")
    weights, total = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), 0
    for digit, weight in zip(f"{body}{ord(letter) - 64:02}{serial}", weights, strict=True):
        total += sum(map(int, str(int(digit) * weight)))
    frame = rng.choice(["Sozialversicherungsnummer §", "SV-Nummer: §", "Rentenversicherungsnummer lautet §."])
    return frame, grouped(f"{body}{letter}{serial}{total % 10}", (2, 6, 1, 3), rng.choice([" ", ""]))


def a_nir(rng: random.Random) -> tuple[str, str]:
    """French social security number with its key."""
    department = rng.choice(["75", "13", "69", "33", "2A", "2B", "99"])
    body = f"{rng.choice('12')}{pick(rng, '##')}{rng.randint(1, 12):02}{department}{pick(rng, '######')}"
    key = 97 - int(body.replace("2A", "19").replace("2B", "18") if department in ("2A", "2B") else body) % 97
    frame = rng.choice(["n° sécu : §", "mon numéro de sécurité sociale est le §.", "NIR §", "§", '{"nir":"§"}'])
    return frame, grouped(f"{body}{key:02}", (1, 2, 2, 2, 3, 3, 2), rng.choice([" ", " ", "", "\u00a0"]))


def a_dni(rng: random.Random) -> tuple[str, str]:
    """Spanish DNI or NIE."""
    letters = "TRWAGMYFPDXBNJZSQVHLCKE"
    if rng.random() < 0.35:
        first, digits = rng.choice("XYZ"), pick(rng, "#######")
        letter = letters[int("XYZ".index(first).__str__() + digits) % 23]
        value = rng.choice([f"{first}{digits}{letter}", f"{first}-{digits}-{letter}", f"{first}{digits}{letter}".lower()])
        return rng.choice(["mi NIE es §", "NIE: §.", '{"nie": "§"}', "§"]), value
    digits = pick(rng, "########")
    letter = letters[int(digits) % 23]
    dotted = f"{digits[:2]}.{digits[2:5]}.{digits[5:]}"
    value = rng.choice(
        [
            f"{digits}{letter}",
            f"{digits}{letter}",
            f"{digits}-{letter}",
            f"{dotted}-{letter}",
            f"{dotted}{letter}",
            f"{digits} {letter}",
        ]
    )
    return rng.choice(["mi DNI es §", "DNI: §.", '{"dni": "§"}', "§", "DNI §"]), value.lower() if rng.random() < 0.15 else value


def a_nuss(rng: random.Random) -> tuple[str, str]:
    """Spanish social security number."""
    province, serial = pick(rng, "28", "08", "41"), pick(rng, "1#######", "2#######")
    value = (province, serial, f"{int(province + serial) % 97:02}")
    return rng.choice(["número de la seguridad social §", "NUSS: §", "mi nº de afiliación es §."]), rng.choice(
        ["", " ", "/"]
    ).join(value)


IDS: dict[str, tuple[Callable[[random.Random], tuple[str, str]], ...]] = {
    "en-US": (an_ssn,), "en-GB": (a_nino, a_nino, an_nhs_number), "de-DE": (a_steuer_id, a_steuer_id, a_pension_number),
    "fr-FR": (a_nir,), "es-ES": (a_dni, a_dni, a_dni, a_nuss),
}  # fmt: skip
