"""Small changes to a text, as people and programs make them: what a search for duplicates is given to find."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
SIGNATURES = ("Thanks, Anna", "Best regards, John", "Sent from my iPhone", "Cheers!", "Thank you, Maria", "Regards")
FEWEST_WORDS = 6
"""Texts of fewer words are left as they are: an edit makes another text of them."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Planted:
    """An edited copy of a text."""

    original: int
    """Position of the text in the list it was drawn from."""
    kind: str
    text: str


def plant(texts: Sequence[str], each: int, seed: int) -> list[Planted]:
    """So many edited copies of each kind, no text edited twice.

    Raises:
        ValueError: there are too few texts of six words and more.
    """
    rng = random.Random(seed)
    long_enough = [position for position, text in enumerate(texts) if len(text.split()) >= FEWEST_WORDS]
    wanted = each * len(KINDS)
    if len(long_enough) < wanted:
        raise ValueError(f"{len(long_enough)} texts have {FEWEST_WORDS} words and more, {wanted} are needed")
    chosen = rng.sample(long_enough, wanted)
    vocabulary = sorted({word for text in texts for word in text.split()})
    kinds = [kind for kind in KINDS for _ in range(each)]
    return [
        Planted(position, kind, KINDS[kind](texts[position], rng, vocabulary))
        for position, kind in zip(chosen, kinds, strict=True)
    ]


def plant_slips(texts: Sequence[str], count: int, seed: int) -> list[Planted]:
    """So many copies with one slip of the keyboard each.

    Raises:
        ValueError: there are too few texts of six words and more.
    """
    rng = random.Random(seed)
    long_enough = [position for position, text in enumerate(texts) if len(text.split()) >= FEWEST_WORDS]
    if len(long_enough) < count:
        raise ValueError(f"{len(long_enough)} texts have {FEWEST_WORDS} words and more, {count} are needed")
    return [Planted(position, "slip", slip(texts[position], rng)) for position in rng.sample(long_enough, count)]


def case(text: str, rng: random.Random, _: Sequence[str]) -> str:
    """Capitals throughout, none, or one a word."""
    changed = [made for made in (text.upper(), text.lower(), text.title()) if made != text]
    return rng.choice(changed)


def space(text: str, rng: random.Random, _: Sequence[str]) -> str:
    """Blanks doubled, tabs, a line break, blanks in front and behind."""
    words = text.split(" ")
    at = rng.randrange(1, len(words))
    joined = " ".join(words[:at]) + rng.choice(["  ", "\t", "\n", " \u00a0"]) + " ".join(words[at:])
    return rng.choice(["", " "]) + joined + rng.choice(["", "  ", "\n"])


def punctuation(text: str, rng: random.Random, _: Sequence[str]) -> str:
    """A mark at the end changed, added or left out, or a comma put in."""
    bare = text.rstrip(".?!")
    if rng.random() < 0.25:
        words = text.split(" ")
        at = rng.randrange(1, len(words))
        return " ".join(words[:at]).rstrip(",") + ", " + " ".join(words[at:])
    return rng.choice([made for made in (bare, bare + ".", bare + "!", bare + "...", bare + "??") if made != text])


def typo(text: str, rng: random.Random, _: Sequence[str]) -> str:
    """Two neighbouring letters of one word in each other's place."""
    places = [
        place
        for place in range(len(text) - 1)
        if text[place].isalpha() and text[place + 1].isalpha() and text[place].lower() != text[place + 1].lower()
    ]
    place = rng.choice(places)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def word(text: str, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """One word left out, added, or in the place of another."""
    words = text.split()
    at = rng.randrange(len(words))
    how = rng.randrange(3)
    put = [] if how == 0 else [rng.choice(vocabulary)]
    return " ".join([*words[:at], *put, *words[at + (how != 1) :]])


def percent(text: str, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """One word in twenty in another's place; at least one."""
    words = text.split()
    for at in rng.sample(range(len(words)), max(1, len(words) // 20)):
        words[at] = rng.choice(vocabulary)
    return " ".join(words)


def signature(text: str, rng: random.Random, _: Sequence[str]) -> str:
    """A line at the end that says who wrote."""
    return f"{text} {rng.choice(SIGNATURES)}"


def slip(text: str, rng: random.Random) -> str:
    """One letter lost, doubled, or a neighbour's on the keyboard; not among the kinds: nothing was chosen by it."""
    place = rng.choice([place for place, letter in enumerate(text) if letter.lower() in LETTERS])
    letter = text[place].lower()
    row = next(row for row in KEYBOARD if letter in row)
    beside = row[row.index(letter) - 1] if row.index(letter) else row[1]
    return text[:place] + rng.choice(["", text[place] * 2, beside]) + text[place + 1 :]


KINDS: dict[str, Callable[[str, random.Random, Sequence[str]], str]] = {
    "case": case,
    "space": space,
    "punctuation": punctuation,
    "typo": typo,
    "word": word,
    "5% of words": percent,
    "signature": signature,
}
