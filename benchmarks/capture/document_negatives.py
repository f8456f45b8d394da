"""What looks like personal data and is none: the numbers, codes and addresses that support traffic is full of."""

import random
import uuid
from collections.abc import Callable

from benchmarks.capture.document_ids import pick, with_luhn

Made = tuple[str, str, str]
"""What it is, the line with `§` where it stands, and the value."""

ORDER_FRAMES = {
    "en-US": ("order #§", "Order number §.", "your order § has shipped", "ref §"),
    "en-GB": ("order number §", "your reference is §.", "Order: §"),
    "de-DE": ("Bestellnummer §", "Bestellung § wurde versandt.", "Ihre Rechnung § ist offen", "Kundennummer: §"),
    "fr-FR": ("commande n° §", "votre commande § est partie.", "facture §", "numéro de dossier §"),
    "es-ES": ("pedido nº §", "su pedido § ha salido.", "factura §", "número de expediente §"),
}  # fmt: skip


def an_order(rng: random.Random, locale: str) -> Made:
    """An order, invoice or customer number."""
    value = pick(
        rng,
        "112-#######-#######",
        "ORD-2024-00####",
        "10023####",
        "4000#######",
        "SO-######",
        "2024-######",
        "INV00######",
        "%#########",
        "00#######",
        "DE-####-#####",
    )
    return "order", rng.choice([*ORDER_FRAMES[locale], '{"order_id": "§"}']), value


def a_price(rng: random.Random, locale: str) -> Made:
    """An amount of money, or a count, with the separators of the country."""
    value = {
        "en-US": ("$#,%##.##", "$%##,###.00", "%,###,###", "$ %###"), "en-GB": ("£#,%##.##", "£%###", "%,###,###"),
        "de-DE": ("%.###,## €", "%##.### €", "%.###.###,00 EUR", "%## ### km"),
        "fr-FR": ("% ### €", "%## ###,## €", "% ### ### habitants", "%\u202f###\u202f###\u00a0€"),
        "es-ES": ("%.###,## €", "%##.###.### euros", "7## ### ### €", "% ### ### personas"),
    }[locale]  # fmt: skip
    return "price", rng.choice(["total: §", "§ in 2023", "(§)", "Total § ."]), pick(rng, *value)


def a_date(rng: random.Random, locale: str) -> Made:
    """A date, a time, a range or a timestamp."""
    day, month, hour = f"{rng.randint(1, 28):02}", f"{rng.randint(1, 12):02}", f"{rng.randint(0, 23):02}"
    year = rng.choice(["2023", "2024", "1987"])
    forms = (
        f"{year}-{month}-{day}", f"{day}.{month}.{year}", f"{day}/{month}/{year}", f"{year}-{month}-{day} {hour}:30:15",
        f"{year}{month}{day}",
        f"{year}-{month}-{day}T{hour}:15:00.123456Z", f"{day}/{month}/{year} {hour}:45",
        f"{day}.{month}.{year} - {day}.{month}.{year}", f"17{pick(rng, '########')}",
        f"17{pick(rng, '###########')}", f"{day}-{month}-{year} {hour}.30", f"{hour}:15 - {hour}:45", f"{year}-{int(year) + 1}",
        f"{day} {month} {year}",
    )  # fmt: skip
    return "date", rng.choice(["on §", "§", '{"created": "§"}', "[§] INFO started", "since § "]), rng.choice(forms)


def a_version(rng: random.Random, locale: str) -> Made:
    """A version of software."""
    value = pick(rng, "v#.##.#", "%.##.#-rc1", "1#.4.1.2", "v2.#.0.1", "2024.1.#", "120.0.60##.109", "1.2.840.113549.1.1.##")
    return (
        "version",
        rng.choice(["version §", "updated to version §.", "Chrome/§", "release § is out", "pip install thing==§"]),
        value,
    )


def a_code(rng: random.Random, locale: str) -> Made:
    """An identifier of a machine."""
    made = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    forms = (
        ("uuid", made), ("uuid", made), ("uuid", str(uuid.UUID(int=int(pick(rng, "%###############################"), 16)))),
        ("hash", f"{rng.getrandbits(160):040x}"), ("hash", f"{rng.getrandbits(28):07x}"), ("mac", pick(rng, "00:1#:2#:3#:4#:5#")),
        ("hash", f"sha256:{rng.getrandbits(256):064x}"),
    )  # fmt: skip
    named, value = rng.choice(forms)
    return named, rng.choice(["request §", '{"id": "§"}', "commit §", "trace §.", "/api/v1/items/§?full=1"]), value


def a_product(rng: random.Random, locale: str) -> Made:
    """ISBN, EAN, serial, part and IMEI numbers."""
    ean = pick(rng, "400#########")
    check = -sum(int(d) * (3 if place % 2 else 1) for place, d in enumerate(ean)) % 10
    return rng.choice([
        ("isbn", "ISBN §", pick(rng, "978-3-16-14####-#", "978#########1", "0-306-4####-#", "3-540-#####-X")),
        ("ean", "EAN §", f"{ean}{check}"),
        ("ean", '{"gtin": "§"}', f"{ean}{check}"), ("imei", "IMEI §", with_luhn(pick(rng, "35############"))),
        ("serial", "serial number §", pick(rng, "C02X#####JG5", "SN########", "%##########")),
        ("part", "part no. §", pick(rng, "%##-####-##", "A%#######", "RTX-4090-#", "AB######")),
        ("part", "SKU §", pick(rng, "########", "%#####-##", "TS-####-XL")),
    ])  # fmt: skip


def a_shipment(rng: random.Random, locale: str) -> Made:
    """A tracking number of a carrier."""
    frame = {"de-DE": "Sendungsnummer §", "fr-FR": "numéro de suivi §", "es-ES": "número de seguimiento §"}.get(
        locale, "tracking number §"
    )
    value = pick(
        rng,
        "1Z999AA1########84",
        "00340434##########57",
        "9400 1000 0000 #### #### 00",
        "%###########",
        "RR#########GB",
        "JD0146000#########",
        "4###########",
        "6C###########",
    )
    return "tracking", rng.choice([frame, f"{frame}.", '{"tracking": "§"}']), value


def some_code(rng: random.Random, locale: str) -> Made:
    """Source code, settings and addresses of no person."""
    return "code", *rng.choice([
        ("run §", "npm install react@18.2.0"), ("use §", "std::vector<int> a::b"), ("§", "@app.route('/users/<int:id>')"),
        ("§", "icon@2x.png"),
        ("set §", "max_tokens=4096, temperature=0.7"), ("§", "password = get_password()"),
        ("§", "token: str = Field(default=None)"), ("clone §", "git@github.com:owner/name.git"),
        ("§", "PASSWORD=${DB_PASSWORD}"), ("at §", "52.520008, 13.404954"), ("§", "background: #1a2b3c; margin: 0 10px"),
        ("listening on §", "127.0.0.1:8080"),
        ("§", "for i in range(1000000, 2000000):"), ("Error §", "0x80070005 at 00007FF6A1B2C3D4"),
        ("your §", "password must be at least 8 characters"), ("used §", "1523 tokens, 200 cached tokens"),
        ("the §", "secret to a good risotto is patience"), ("§", "Array(100) [0:10] arr[1:2:3]"),
        ("see §", "https://example.com/a/2024/05/12/story-1234567.html"), ("§", "task-force-on-risk-2024-final-version"),
        ("on §", "@acme_support"), ("VAT §", "DE123456789"), ("SIREN §", "732 829 320"), ("postcode §", "SW1A 1AA"),
        ("ZIP §", "94105-1234"), ("flight §", "LH 1234"), ("pages §", "123-456"),
        ("score §", "+1000 points"), ("§", "x = [1234567, 2345678, 3456789]"), ("resolution §", "1920 x 1080"),
        ("opening hours §", "09:00-12:00 13:00-18:00"), ("the key §", "to success: hard work"),
    ])  # fmt: skip


NEGATIVES: tuple[Callable[[random.Random, str], Made], ...] = (
    an_order, an_order, a_price, a_date, a_date, a_version, a_code, a_product, a_shipment, some_code, some_code,
)  # fmt: skip
