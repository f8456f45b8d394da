"""Made-up support traffic in five locales with personal data planted in it, labelled, and with numbers that only look so.

The formats are those in which people type these things; check digits are computed here, by code of its own, so that a mistake in
the redactor's checks shows.
"""

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.capture.document_ids import a_national_id, grouped, pick, random_text, with_luhn
from benchmarks.capture.document_negatives import NEGATIVES

LOCALES = ("en-US", "en-GB", "de-DE", "fr-FR", "es-ES")
KINDS = ("EMAIL", "PHONE", "CARD", "IBAN", "SECRET", "IP", "NATIONAL_ID")


@dataclass(frozen=True)
class Planted:
    """A piece of a document: personal data of a kind, or a hard negative named by what it is."""

    kind: str
    locale: str
    start: int
    end: int


@dataclass
class Document:
    """A text, what must be taken out of it, and what must stay."""

    locale: str
    text: str = ""
    planted: list[Planted] = field(default_factory=list)
    negatives: list[Planted] = field(default_factory=list)

    def add(self, frame: str, value: str, kind: str, *, negative: bool = False) -> None:
        """Append a line: the frame with the value in place of `§`."""
        before, after = frame.split("§")
        start = len(self.text) + len(before)
        (self.negatives if negative else self.planted).append(Planted(kind, self.locale, start, start + len(value)))
        self.text += before + value + after


def documents(seed: int, count: int = 350) -> Iterator[Document]:
    """Documents of all locales in turn; the same seed gives the same documents."""
    rng = random.Random(seed)
    for number in range(count):
        yield document(rng, LOCALES[number % len(LOCALES)], first=KINDS[number // len(LOCALES) % len(KINDS)])


def document(rng: random.Random, locale: str, first: str) -> Document:
    """One document: two to four planted pieces, the first of a given kind, among prose and two or three hard negatives."""
    made = Document(locale)
    lines: list[tuple[str, bool]] = [(first, False), *((rng.choice(KINDS), False) for _ in range(rng.randint(1, 3)))]
    lines += [("", True)] * rng.randint(2, 3)
    rng.shuffle(lines)
    made.text = rng.choice(OPENINGS[locale])
    for kind, negative in lines:
        made.text += rng.choice(["\n", " ", "\n\n"])
        if negative:
            named, frame, value = rng.choice(NEGATIVES)(rng, locale)
            made.add(frame, value, named, negative=True)
        else:
            frame, value = MAKERS[kind](rng, locale)
            made.add(frame, value, kind)
    made.text += rng.choice(["\n", " "]) + rng.choice(CLOSINGS[locale])
    return made


def clean_text(size: int, *, digits: bool) -> str:
    """English support prose with nothing personal in it; with `digits`, prices, dates, versions and order numbers as well."""
    plain = (
        "Thanks for getting in touch. The parcel left our warehouse in the morning and the carrier expects to hand it over "
        "before the weekend. "
        "If the box arrives damaged, please keep the packaging and send us a picture, so that we can arrange a replacement or "
        "a full refund. "
        "You can change the address in your account until the label has been printed; after that the carrier has to be asked. "
    )
    numbers = (
        "Order #10023481 from 2024-05-12 14:30 came to $1,299.00, of which $49.95 was shipping; version 2.14.1 of the app "
        "shows it under "
        "Orders > 2024. Delivery takes 3-5 days (10% arrive later), and item 4006381333931 is back in stock on 03/06/2024 at "
        "09:15. "
    )
    text = ""
    while len(text) < size:
        text += plain + (numbers if digits else "")
    return text[:size]


NAMES = {
    "en-US": ("john.miller", "Emily_Clark", "mjordan", "rachel.green", "t.nguyen"),
    "en-GB": ("oliver.hughes", "A.Patel", "gwen_davies", "harry.t", "fionamcleod"),
    "de-DE": ("hans.mueller", "S.Schäfer", "jonas-weber", "k.vogel", "anne.gross"),
    "fr-FR": ("camille.dupont", "jean-luc.martin", "F.Lefèvre", "sophie_b", "p.girard"),
    "es-ES": ("carlos.garcia", "maria_lopez", "J.Muñoz", "lucia-fdez", "pablo.r"),
}
HOSTS = {
    "en-US": ("gmail.com", "yahoo.com", "acme-corp.com", "mail.state.edu", "startup.io"),
    "en-GB": ("gmail.com", "btinternet.com", "example.co.uk", "nhs.net", "council.gov.uk"),
    "de-DE": ("gmx.de", "web.de", "t-online.de", "bücher-laden.de", "stadt.bayern"),
    "fr-FR": ("orange.fr", "free.fr", "laposte.net", "société.fr", "hotmail.fr"),
    "es-ES": ("hotmail.es", "gmail.com", "empresa.com.es", "uni.edu.es", "correo.cat"),
}
OPENINGS = {
    "en-US": (
        "Hi there, I need some help with my account.",
        "USER: my package never showed up",
        "hey, quick question",
        "Good morning,",
    ),
    "en-GB": ("Hello, I'd like to make a complaint.", "Hiya, hope you can help.", "Dear Sir or Madam,", "Morning all"),
    "de-DE": (
        "Guten Tag, ich habe ein Problem mit meiner Lieferung.",
        "Hallo zusammen,",
        "Sehr geehrte Damen und Herren,",
        "Moin,",
    ),
    "fr-FR": ("Bonjour, je n’ai pas reçu mon colis.", "Bonjour Madame, Monsieur,", "Salut,", "Bonsoir, j'ai une question."),
    "es-ES": ("Hola, tengo un problema con mi cuenta.", "Buenos días,", "Estimados señores:", "¡Hola! ¿me podéis ayudar?"),
}
CLOSINGS = {
    "en-US": ("Thanks!", "Please advise.", "Best, John", ""),
    "en-GB": ("Many thanks", "Cheers", "Kind regards, Gwen", ""),
    "de-DE": ("Mit freundlichen Grüßen", "Danke im Voraus!", "LG", ""),
    "fr-FR": ("Merci d’avance.", "Cordialement,", "Bonne journée !", ""),
    "es-ES": ("Gracias.", "Un saludo,", "Muchas gracias de antemano.", ""),
}
FRAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "EMAIL": {
        "*": ("<§>", '{"email": "§"}', "mailto:§", "From: §", "e-mail:§;", "(§)", "login=§&next=1", "contact,§,active"),
        "en-US": ("you can reach me at §.", "My email is §, thanks"),
        "en-GB": ("please write to §!", "it's § - no caps"),
        "de-DE": ("Meine Mailadresse lautet §.", "bitte an § senden"),
        "fr-FR": ("mon adresse est §.", "écrivez-moi à § svp"),
        "es-ES": ("mi correo es §.", "escribidme a §, por favor"),
    },
    "PHONE": {
        "*": ("Tel: §", '{"phone": "§"}', "(§)", "John Doe - §", "tel.§", "§.", "M §", "[§]", "phone=§"),
        "en-US": ("call me at §.", "My number is §, anytime after 5", "best way to get hold of me: §", "text me §"),
        "en-GB": ("ring me on § please.", "my mobile: §", "you can get me on § after 6pm"),
        "de-DE": ("Sie erreichen mich unter §.", "Handy §", "Rückruf bitte an §!", "Meine Nummer: §"),
        "fr-FR": ("vous pouvez m’appeler au §.", "mon portable : §", "joignable au § le matin", "Tél. §"),
        "es-ES": ("mi teléfono es el §.", "llámame al §", "móvil §", "me podéis localizar en el §"),
    },
    "CARD": {
        "*": ('{"card_number": "§"}', "Visa §", "§", "card: § exp 09/27", "PAN=§"),
        "en-US": ("my card number is §.", "charge it to §, please"),
        "en-GB": ("I paid with § last week.", "debit card §"),
        "de-DE": ("Meine Kreditkarte § wurde belastet.", "Kartennummer: §"),
        "fr-FR": ("ma carte bancaire § a été débitée", "CB n° §"),
        "es-ES": ("mi tarjeta § no funciona", "número de tarjeta: §"),
    },
    "IBAN": {
        "*": ("IBAN: §", '{"iban":"§"}', "IBAN §.", "(§)", "§"),
        "en-US": ("wire it to § please", "our bank account abroad is §."),
        "en-GB": ("refund to § please", "my bank details: §, Barclays"),
        "de-DE": ("Bitte auf § überweisen.", "Kontoverbindung §, Sparkasse"),
        "fr-FR": ("virement sur § svp", "mon RIB : §."),
        "es-ES": ("mi cuenta es §.", "ingreso en §, gracias"),
    },
    "IP": {
        "*": ('§ - - [12/May/2024:10:00:00 +0000] "GET / HTTP/1.1" 200', '{"ip": "§"}', "client=§", "ping § times out", "(§)",
        "from §."),
        **dict.fromkeys(LOCALES, ()),
    },
}  # fmt: skip


def framed(rng: random.Random, kind: str, locale: str) -> str:
    """A line to put a value into, of the locale or of no language."""
    return rng.choice([*FRAMES[kind]["*"], *FRAMES[kind][locale], *FRAMES[kind][locale]])


def a_mail(rng: random.Random, locale: str) -> tuple[str, str]:
    """A mail address: sub-addresses, capitals, accents, `(at)`, invisible and full-width characters."""
    name, host = rng.choice(NAMES[locale]), rng.choice(HOSTS[locale])
    name += rng.choice(["", "", "", pick(rng, "##"), "+news", ".work"])
    form = rng.random()
    if form < 0.06:
        return (
            "schreib an § bitte" if locale == "de-DE" else "or § if that bounces",
            f"{name}{rng.choice(['(at)', ' [at] ', ' (at) '])}{host}",
        )
    if form < 0.09:
        return "mail: §", f"{name}\u200b@{host}"
    if form < 0.11:
        return "mail: §", f"{name}\uff20{host}"
    value = f"{name}@{host}"
    return framed(rng, "EMAIL", locale), value.upper() if form > 0.95 else value


PHONES = {
    "en-US": (
        "(%17) 555-01##", "%17-555-01##", "%17.555.01##", "%17555####", "+1 %17-555-01##", "+1%17555####", "1-%17-555-01##",
        "%17 555 01##",
        "(%17)555-01##", "+1 (%17) 555-01##", "1 (%17) 555 01##", "%17-555####", "+1.%17.555.01##", "555-01##",
        "001 %17 555 01##",
    ),
    "en-GB": (
        "07700 900###", "07700900###", "+44 7700 900###", "+447700900###", "020 7946 0###", "(020) 7946 0###", "0161 496 0###",
        "01632 960###",
        "+44 (0)20 7946 0###", "0044 20 7946 0###", "07700-900-###", "0207 946 0###", "02079460###", "+44(0)7700900###",
        "077 0090 0###",
    ),
    "de-DE": (
        "030 %######", "030/%######", "0176 %#######", "0176 %### ####", "0176%#######", "+49 176 %#######", "+49176%#######",
        "0049 176 %#######",
        "+49 (0)30 %######", "030-%## ## ##", "(089) %#####", "0 30 / %# ## ## #", "089 %# ## ## ##", "04131-%#####",
        "07141 / %#####", "0151/%## ## ###",
        "+49-89-%######", "+49 (89) %######", "089%######",
    ),
    "fr-FR": (
        "06 %# ## ## ##", "06%#######", "06.%#.##.##.##", "06-%#-##-##-##", "+33 6 %# ## ## ##", "+336%#######",
        "0033 6 %# ## ## ##", "+33 (0)6 %# ## ## ##",
        "01\u00a0%#\u00a0##\u00a0##\u00a0##", "07/%#/##/##/##", "01%#######", "06 %## ## ## #", "+33(0)1 %# ## ## ##",
        "09 %# ## ## ##",
    ),
    "es-ES": (
        "6%# ### ###", "6%#######", "6%# ## ## ##", "91 %## ## ##", "+34 6%# ### ###", "+346%#######", "0034 6%# ### ###",
        "91% ### ###", "6%#-###-###",
        "6%#.###.###", "(91) %## ## ##", "91.%##.##.##", "(+34) 6%# ### ###", "7## ## ## ##", "+34-91-%##-##-##",
    ),
}  # fmt: skip


def a_phone(rng: random.Random, locale: str) -> tuple[str, str]:
    """A phone number as it is typed in the country."""
    return framed(rng, "PHONE", locale), pick(rng, *PHONES[locale])


def a_card(rng: random.Random, locale: str) -> tuple[str, str]:
    """A card of the usual issuers, in groups or bare."""
    separator = rng.choice([" ", " ", "-", "", "", "\u00a0", "."])
    if rng.random() < 0.2:
        return framed(rng, "CARD", locale), grouped(
            with_luhn(pick(rng, "34############", "37############")), (4, 6, 5), separator
        )
    digits = with_luhn(
        pick(
            rng, "4##############", "51#############", "54#############", "2301###########", "6011###########", "3530###########"
        )
    )
    return framed(rng, "CARD", locale), grouped(digits, (4,), separator)


IBAN_BODIES = {
    "en-GB": ("GB", "BARC##############", "HBUK40############"), "de-DE": ("DE", "10050000##########", "37040044##########"),
    "fr-FR": ("FR", "2004101005##########X##", "30006000011234567890189"),
    "es-ES": ("ES", "2100####7#0#########", "0049150005##########"),
    "en-US": ("NL", "ABNA0#########", "INGB000#######"),
}  # fmt: skip


def an_iban(rng: random.Random, locale: str) -> tuple[str, str]:
    """An account number with its check digits."""
    country, *bodies = IBAN_BODIES[locale]
    body = pick(rng, *bodies)
    remainder = int("".join(str(int(c, 36)) for c in f"{body}{country}00")) % 97
    value = f"{country}{98 - remainder:02}{body}"
    form = rng.random()
    value = value if form < 0.4 else grouped(value, (4,), rng.choice([" ", " ", " ", "-", "\u00a0"]))
    return framed(rng, "IBAN", locale), value.lower() if form > 0.9 else value


def an_ip(rng: random.Random, locale: str) -> tuple[str, str]:
    """An IPv4 or IPv6 address."""
    if rng.random() < 0.65:
        return framed(
            rng, "IP", locale
        ), f"{rng.choice([8, 10, 81, 172, 192, 203])}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"

    def block() -> str:
        return f"{rng.randint(1, 65535):x}"

    forms = (
        ":".join(["2001", "db8", *(block() for _ in range(6))]),
        f"2a02:{block()}::{block()}",
        f"fe80::{block()}:{block()}:{block()}:{block()}",
    )
    return framed(rng, "IP", locale), rng.choice(forms).upper() if rng.random() < 0.1 else rng.choice(forms)


ALNUM = string.ascii_letters + string.digits
PASSWORD_FRAMES = {
    "en-US": ("my password is §", "password: §"), "en-GB": ("the password's not working, I use password §", "pwd = §"),
    "de-DE": ("Mein Passwort ist §", "Passwort: §"), "fr-FR": ("mon mot de passe est §", "mot de passe : §"),
    "es-ES": ("mi contraseña es §", "contraseña: §"),
}  # fmt: skip


def a_secret(rng: random.Random, locale: str) -> tuple[str, str]:
    """A key, a token or a password, where such things stand."""

    def text(size: int, alphabet: str = ALNUM) -> str:
        return random_text(rng, alphabet, size)

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    password = (
        rng.choice(["Summer", "hunter", "dragon", "Qwertz", "azerty"]) + text(3, string.digits) + rng.choice(["", "!", "$", "#x"])
    )
    password_frame = rng.choice(PASSWORD_FRAMES[locale])
    return rng.choice([
        ("OPENAI_API_KEY=§", f"sk-proj-{text(48, ALNUM + '_-')}"),
        ("key § stopped working", f"sk-ant-api03-{text(40, ALNUM + '_-')}"),
        ("old key: §", f"sk-{text(48)}"), ("AWS_ACCESS_KEY_ID=§", f"AKIA{text(16, string.ascii_uppercase + string.digits)}"),
        ("aws_secret_access_key = §", text(40, ALNUM + "/+")), ("git push fails with §", f"ghp_{text(36)}"),
        ("token §", f"github_pat_{text(22)}_{text(59)}"),
        ("GITLAB=§", f"glpat-{text(20)}"), ("slack: §", f"xoxb-{text(12, string.digits)}-{text(12, string.digits)}-{text(24)}"),
        ('{"stripe": "§"}', f"sk_live_{text(24)}"),
        ("maps key §", f"AIza{text(35, ALNUM + '_-')}"), ("HF_TOKEN=§", f"hf_{text(34, string.ascii_letters)}"),
        ("Authorization: Bearer §", text(40)),
        ("-H 'Authorization: Bearer §'", f"{part({'alg': 'HS256'})}.{part({'sub': text(8)})}.{text(43, ALNUM + '_-')}"),
        ("postgres://§@db.internal:5432/app", f"admin:{password}"), ('"api_key": "§",', text(32, "0123456789abcdef")),
        ("client_secret=§", text(32)), (password_frame, password), (password_frame, password), ("DB_PASSWORD=§", password),
        ('"password": "§"', password), ("?access_token=§&x=1", text(32)),
        ("§", f"-----BEGIN RSA PRIVATE KEY-----\n{text(64)}\n{text(64)}\n{text(20)}==\n-----END RSA PRIVATE KEY-----"),
    ])  # fmt: skip


MAKERS: dict[str, Callable[[random.Random, str], tuple[str, str]]] = {
    "EMAIL": a_mail, "PHONE": a_phone, "CARD": a_card, "IBAN": an_iban, "SECRET": a_secret, "IP": an_ip,
    "NATIONAL_ID": a_national_id,
}  # fmt: skip
