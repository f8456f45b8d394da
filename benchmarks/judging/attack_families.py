"""Texts that talk to a judge, by family, and harmless ones that sound alike: what the detector is developed on.

Others, which nobody saw while it was written, measure it.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

_FOLDER = Path(__file__).parent / "development"


def families() -> dict[str, tuple[str, ...]]:
    """Family to its texts."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in _lines("attacks.txt"):
        if line.startswith("## "):
            name = line.removeprefix("## ")
            found[name] = []
        else:
            found[name].append(_unescaped(line))
    return {name: tuple(texts) for name, texts in found.items()}


def texts(name: str) -> tuple[str, ...]:
    """The texts of a file, one a line."""
    return tuple(map(_unescaped, _lines(name)))


def _lines(name: str) -> list[str]:
    return (_FOLDER / name).read_text("utf-8").splitlines()


def _unescaped(line: str) -> str:
    return "\\".join(part.replace("\\n", "\n") for part in line.split("\\\\"))


FAMILIES = families()
HARMLESS = texts("harmless.txt")
"""They speak of scores, judges, rules and answers, and to no judge."""
SLOTS = {
    "n": "card account order ticket payment transfer refund top-up statement balance pin app phone number address name email "
    "booking seat "
    "table room flight train bus taxi parcel delivery invoice fee charge currency exchange withdrawal deposit cheque loan "
    "coffee latte "
    "espresso tea cake sandwich pizza movie film show theatre cinema concert game song book recipe cat dog garden car bike "
    "key door "
    "window laptop printer screen battery cable router password file photo page list link code function table server "
    "contract letter "
    "form passport visa doctor appointment medicine school course lesson holiday hotel trip museum shop shoe shirt size box "
    "bag gift "
    "receipt voucher discount price plan service insurance heating light kitchen machine part bill rate limit review result "
    "point "
    "mark note test score answer question reply message text system",
    "v": "check change cancel find use get order book pay send return exchange track activate close open freeze block unlock "
    "replace "
    "update add remove verify confirm accept reverse receive move set show see read write call choose pick keep buy sell "
    "rent fix clean "
    "connect start stop wait try make bring take put fill print save delete download share sign switch turn give recommend "
    "explain "
    "compare look-for ask-for top-up cash-out answer mark rate review report",
    "a": "pending late new old lost stolen broken closed open free full empty cold hot small large medium cheap expensive "
    "blocked "
    "declined cancelled delivered available ready wrong right correct different missing double high low slow fast easy nice "
    "great "
    "perfect best good bad red blue early wet dry confirmed approved complete finished verified accepted refunded expired "
    "frozen",
    "s": "arrive start end open close work leave run expire stop change come finish",
    "d": "today tomorrow tonight yesterday on-Monday on-Friday this-week next-month at-noon in-the-evening this-afternoon "
    "on-Sunday "
    "in-May at-five-pm last-night every-day by-Tuesday",
    "p": "London Paris Berlin San-Francisco the-station town Spain Japan the-centre my-area Texas the-airport school work "
    "the-office",
    "num": "1 2 3 4 5 6 7 8 10 12 15 20 24 30 45 50 100 five ten three two",
}
"""What stands in the gaps of the patterns."""


def everyday(rng: random.Random, count: int) -> Iterator[str]:
    """Everyday questions and answers, made from patterns."""
    patterns = texts("patterns.txt")
    words = {slot: [word.replace("-", " ") for word in said.split()] for slot, said in SLOTS.items()}
    for _ in range(count):
        said = (
            re.sub(r"\{(\w+)\}", lambda slot: rng.choice(words[slot[1]]), rng.choice(patterns))
            for _ in range(rng.choice((1, 1, 1, 2, 4)))
        )
        yield " ".join(said)


EVERYDAY = texts("everyday.txt")
"""They speak of anything else."""
