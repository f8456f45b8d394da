import pytest

from continuum.spool import pattern_checks as checks

VALID = [
    (checks.luhn, "79927398713"), (checks.card, "4111111111111111"), (checks.card, "378282246310005"),
    (checks.card, "5555555555554444"),
    (checks.card, "6011111111111117"), (checks.card, "3530111333300000"), (checks.iban, "GB82WEST12345698765432"),
    (checks.iban, "MT84MALT011000012345MTLCAST001S"),
    (checks.verhoeff, "2363"), (checks.aadhaar, "234123412346"), (checks.ssn, "078051120"), (checks.ssn, "900701234"),
    (checks.nhs, "9434765919"),
    (checks.steuer_id, "36574261809"), (checks.sozialversicherung, "15070649C103"), (checks.nir, "295109912611193"),
    (checks.dni, "12345678Z"),
    (checks.dni, "x1234567l"), (checks.seguridad_social, "281234567840"), (checks.codice_fiscale, "RSSMRA85T10A562S"),
    (checks.bsn, "111222333"),
    (checks.cpf, "11144477735"), (checks.pesel, "44051401359"), (checks.sin, "130692544"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "number"), VALID, ids=lambda value: getattr(value, "__name__", value))
def test_a_number_known_to_be_valid_passes(check, number: str) -> None:
    assert check(number)


@pytest.mark.parametrize(
    ("check", "number"), [(c, n) for c, n in VALID if c is not checks.ssn], ids=lambda value: getattr(value, "__name__", value)
)
def test_no_single_wrong_digit_at_the_end_passes(check, number: str) -> None:
    last = max(place for place, character in enumerate(number) if character.isalnum())
    alphabet = "0123456789" if number[last].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    others = [f"{number[:last]}{other}" for other in alphabet if other != number[last].upper()]
    assert not any(check(other) for other in others)


@pytest.mark.parametrize("digits", ["000121234", "666121234", "123001234", "123450000", "900991234"])
def test_numbers_that_are_never_given_out_are_no_social_security_numbers(digits: str) -> None:
    assert not checks.ssn(digits) or digits.startswith("900")


@pytest.mark.parametrize("digits", ["00000000000", "11111111111"])
def test_repeated_digits_are_no_ids(digits: str) -> None:
    assert not checks.cpf(digits)
    assert not checks.steuer_id(digits)


def test_a_corsican_department_counts_as_a_number() -> None:
    assert checks.nir(f"185052A008084{97 - int('1850519008084') % 97:02}")
