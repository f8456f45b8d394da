"""Check digits of cards, bank accounts and national ids: what tells them from other numbers of the same length."""

from collections import Counter
from collections.abc import Sequence

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
    "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
    "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26,
    "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip

VERHOEFF_PRODUCT = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1], [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]  # fmt: skip
VERHOEFF_PERMUTATION = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1], [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
]  # fmt: skip

DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
NIE_LETTERS = {"X": "0", "Y": "1", "Z": "2"}

FISCALE_DIGITS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
FISCALE_LETTERS = (*FISCALE_DIGITS, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
FISCALE_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (*FISCALE_DIGITS, *FISCALE_LETTERS), strict=True))


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of digits times weights."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(digits: str) -> bool:
    """ISO/IEC 7812: every second digit from the right doubled, digit sum divisible by ten."""
    odd = sum(map(int, digits[-1::-2]))
    even = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (odd + even) % 10 == 0


def card(digits: str) -> bool:
    """A card number: an issuer's range, a length that the issuer uses, the Luhn digit."""
    size, two, three, four = len(digits), int(digits[:2]), int(digits[:3]), int(digits[:4])
    known = (
        (digits[0] == "4" and size in (16, 19))
        or (size == 16 and (51 <= two <= 55 or 2221 <= four <= 2720 or 3528 <= four <= 3589))
        or (size == 15 and two in (34, 37))
        or (size == 14 and (two in (36, 38, 39) or 300 <= three <= 305))
        or (size in (16, 19) and (four == 6011 or two == 65 or 644 <= three <= 649 or two in (62, 81)))
        or (size in (16, 18, 19) and (two == 50 or 56 <= two <= 58 or two in (63, 67)))
    )
    return known and len(set(digits)) > 1 and luhn(digits)


def iban(account: str) -> bool:
    """ISO 13616: the length of the country, and remainder 1 modulo 97."""
    account = account.upper()
    return (
        IBAN_LENGTHS.get(account[:2]) == len(account)
        and int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1
    )


def verhoeff(digits: str) -> bool:
    """The dihedral check of Verhoeff, as in Aadhaar numbers."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = VERHOEFF_PRODUCT[check][VERHOEFF_PERMUTATION[place % 8][int(digit)]]
    return check == 0


def aadhaar(digits: str) -> bool:
    """Indian Aadhaar: twelve digits, the first at least 2."""
    return len(digits) == 12 and digits[0] in "23456789" and verhoeff(digits)


def ssn(digits: str) -> bool:
    """US social security number in a range that is given out, or a taxpayer number (ITIN)."""
    area, group, serial = int(digits[:3]), int(digits[3:5]), int(digits[5:])
    if area >= 900:
        return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99
    return area not in (0, 666) and group != 0 and serial != 0


def nhs(digits: str) -> bool:
    """UK health service number, modulo 11."""
    check = 11 - weighted(digits, range(10, 1, -1)) % 11
    return len(digits) == 10 and check % 11 == int(digits[9]) and check != 10


def steuer_id(digits: str) -> bool:
    """German tax id: ISO 7064 modulo 11,10, and one digit of the first ten comes twice or three times."""
    if len(digits) != 11 or digits[0] == "0":
        return False
    repeats = sorted(Counter(digits[:10]).values(), reverse=True)
    if repeats[0] not in (2, 3) or repeats[1] != 1:
        return False
    product = 10
    for digit in digits[:10]:
        product = 2 * ((int(digit) + product) % 10 or 10) % 11
    return (11 - product) % 10 == int(digits[10])


def sozialversicherung(number: str) -> bool:
    """German pension insurance number: area, birth date, a letter of the name, serial, check digit."""
    day, month = int(number[2:4]), int(number[4:6])
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return False
    digits = f"{number[:8]}{ord(number[8].upper()) - 64:02}{number[9:11]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    return sum(sum(divmod(int(d) * w, 10)) for d, w in zip(digits, weights, strict=True)) % 10 == int(number[11])


def nir(number: str) -> bool:
    """French social security number with its key: 97 minus the remainder modulo 97; Corsica counts as 19 and 18."""
    body = number[:13].upper()
    if "A" in body or "B" in body:
        body = body.replace("2A", "19", 1) if body[5:7] == "2A" else body.replace("2B", "18", 1)
    return body.isdigit() and 97 - int(body) % 97 == int(number[13:15])


def dni(number: str) -> bool:
    """Spanish DNI or NIE: the letter is the number modulo 23."""
    number = number.upper()
    digits = NIE_LETTERS.get(number[0], number[0]) + number[1:-1]
    return digits.isdigit() and DNI_LETTERS[int(digits) % 23] == number[-1]


def seguridad_social(digits: str) -> bool:
    """Spanish social security number of a person: modulo 97, where short serials are packed."""
    province, serial = int(digits[:2]), int(digits[2:10])
    number = province * 10**7 + serial if serial < 10**7 else int(digits[:10])
    return len(digits) == 12 and 1 <= province <= 66 and number % 97 == int(digits[10:])


def codice_fiscale(code: str) -> bool:
    """Italian tax code: the last letter checks the fifteen before."""
    code = code.upper()
    total = sum(FISCALE_ODD[c] for c in code[0:15:2]) + sum(int(c) if c.isdigit() else ord(c) - 65 for c in code[1:15:2])
    return chr(65 + total % 26) == code[15]


def bsn(digits: str) -> bool:
    """Dutch citizen number: the eleven test, where the last digit counts negative."""
    return len(digits) == 9 and int(digits) > 0 and (weighted(digits[:8], range(9, 1, -1)) - int(digits[8])) % 11 == 0


def cpf(digits: str) -> bool:
    """Brazilian CPF: two digits, each modulo 11."""
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    first = weighted(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def pesel(digits: str) -> bool:
    """Polish PESEL: modulo 10."""
    return len(digits) == 11 and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def sin(digits: str) -> bool:
    """Canadian social insurance number."""
    return len(digits) == 9 and digits[0] not in "08" and luhn(digits)
