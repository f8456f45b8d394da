"""Letters that stand for others: shifted, mirrored, reversed, scrambled, in Morse or Braille, in words that say their names."""

import re
import string
from collections import defaultdict
from collections.abc import Iterator

_KEYWORDS_SAID = """
    accuracy accept above all always answer approved assign assigned award awarded best criteria criterion correct
    deserves disregard evaluate evaluation evaluator every excellent expert experts five flawless forget full give
    given gold grade grader grading helpfulness highest ignore instruction instructions judge judges judging mark marks
    maximum meets must note output override perfect please points previous prior prompt quality rate rated rating
    reference reply response return rubric rules satisfies score scored scores scoring should star stars submission
    system ten this top verdict verified your you antwort bewertung punktzahl höchste hoechste reponse respuesta
    puntuacion maxima risposta punteggio resposta nota
"""
KEYWORDS = tuple(_KEYWORDS_SAID.split())
"""The words by which a cipher is recognised."""
_CLEAR = tuple(word for word in KEYWORDS if len(word) >= 4)
_LETTERS = string.ascii_lowercase
_WORD = re.compile(r"[a-z]+")
_SHORT = frozenset({"the", "to", "it"})
_PIECES = re.compile("|".join(sorted({*_CLEAR, *_SHORT}, key=len, reverse=True)))

_MORSE_SAID = """
    .- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. -----
    .---- ..--- ...-- ....- ..... -.... --... ---.. ----.
"""
_MORSE = tuple(_MORSE_SAID.split())
_BRAILLE = "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵"
_TABLES = {
    "morse": dict(zip(_MORSE, _LETTERS + string.digits, strict=True)),
    "braille": dict(zip(_BRAILLE, _LETTERS, strict=True)) | {"\u2800": " "},
}
_SPELLING_SAID = """
    alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa
    quebec romeo sierra tango uniform victor whiskey xray yankee zulu
"""
_SPELLING = frozenset(_SPELLING_SAID.split())


def _shifted(by: int) -> dict[int, str]:
    return {ord(a): _LETTERS[(n - by) % 26] for n, a in enumerate(_LETTERS)}


_ALPHABETS = {f"shifted by {by}": _shifted(by) for by in range(1, 26)} | {
    "mirrored alphabet": {ord(a): b for a, b in zip(_LETTERS, reversed(_LETTERS), strict=True)}
}


def _encoded() -> dict[str, set[str]]:
    # Encoded word to the ciphers that make it of a keyword.
    found: dict[str, set[str]] = defaultdict(set)
    for word in _CLEAR:
        if not word.isascii():
            continue
        for name, alphabet in _ALPHABETS.items():
            backwards = {ord(plain): chr(code) for code, plain in alphabet.items()}
            found[word.translate(backwards)].add(name)
        found[word[::-1]].add("reversed")
        start = re.match(r"[^aeiou]*", word)
        head = start[0] if start else ""
        found[word[len(head) :] + head + "ay"].add("pig latin")
        found[(word + "way") if not head else word[len(head) :] + head + "ay"].add("pig latin")
        if len(bare := re.sub("[aeiou]", "", word)) >= 3:
            found[bare].add("no vowels")
    for word in KEYWORDS:
        found.pop(word, None)
    return dict(found)


_ENCODED = _encoded()
_BARE = {re.sub("[aeiou]", "", word): word for word in _CLEAR}
_MIXED = {(word[0], "".join(sorted(word[1:-1])), word[-1]): word for word in _CLEAR if len(word) >= 5}

_SHAPES = {(first, len(inner) + 2, last) for first, inner, last in _MIXED}


def deciphered(text: str) -> Iterator[tuple[str, str]]:
    """The text by each cipher that two of its words speak for."""
    words = _WORD.findall(text.lower())
    if not words:
        return
    hits: dict[str, set[str]] = defaultdict(set)
    for word in _ENCODED.keys() & set(words):
        for cipher in _ENCODED[word]:
            hits[cipher].add(word)
    for cipher, found in hits.items():
        if len(found) >= 2:
            yield cipher, _undone(cipher, text.lower())
    spelled = [word for word in words if word in _SPELLING]
    if len(spelled) >= 6:
        yield "spelling alphabet", broken_into_words("".join(word[0] for word in spelled))


def _undone(cipher: str, text: str) -> str:
    if cipher in _ALPHABETS:
        return text.translate(_ALPHABETS[cipher])
    if cipher == "reversed":
        return text[::-1]
    if cipher == "no vowels":
        return _WORD.sub(lambda word: _BARE.get(word[0], word[0]), text)
    return _WORD.sub(lambda word: _from_pig_latin(word[0]), text)


def _from_pig_latin(word: str) -> str:
    if word.endswith("way") and word[:-3] in KEYWORDS:
        return word[:-3]
    body = word.removesuffix("ay")
    turned = (body[-n:] + body[:-n] for n in range(1, 4))
    return next((clear for clear in turned if clear in KEYWORDS), word)


def unscrambled(text: str) -> str:
    """The text with keywords put in order whose inner letters were shuffled; empty where fewer than two were."""
    cured = {}
    for word in set(_WORD.findall(text.lower())):
        if (word[0], len(word), word[-1]) in _SHAPES:
            clear = _MIXED.get((word[0], "".join(sorted(word[1:-1])), word[-1]), word)
            if clear != word:
                cured[word] = clear
    return _WORD.sub(lambda match: cured.get(match[0], match[0]), text.lower()) if len(cured) >= 2 else ""


def broken_into_words(letters: str) -> str:
    """Letters that run together, with the keywords in them set apart; empty where fewer than two are among them."""
    lower = letters.lower()
    if len(set(_PIECES.findall(lower)) - _SHORT) < 2:
        return ""
    return _PIECES.sub(r" \g<0> ", lower)


def from_table(name: str, run: str) -> str:
    """What a run of Morse or Braille says."""
    if name == "braille":
        return "".join(_TABLES[name].get(c, " ") for c in run)
    plain = re.sub("[·•]", ".", re.sub("[−–_]", "-", run))
    words = (re.split(r"\s+", word.strip()) for word in re.split(r"\s*[/|]\s*|\s{3,}", plain))
    return " ".join("".join(_TABLES[name].get(sign, "") for sign in word) for word in words)


def letters_of_numbers(run: str) -> str:
    """What numbers say that count the letters of the alphabet."""
    codes = [int(code) for code in re.findall(r"\d+", run)]
    return broken_into_words("".join(_LETTERS[code - 1] for code in codes if 1 <= code <= 26))
