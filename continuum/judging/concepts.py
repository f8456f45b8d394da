"""What the words of a text mean to a judge: of judging, scoring, rules and answers, in many languages; and where they stand."""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
TOKEN = re.compile(r"\d+(?:[.,/:–-]\d+)*[%+]?|a\+(?!\w)|[^\W\d_]+|[.!?;]\s|\n\s*\n|@|[★⭐💯]+")
SCALES = frozenset({"5", "7", "10", "20", "100"})
STEM = 5
"""Letters of a word that tell it from others; its ending does not."""
LONGEST_CJK = 6
WINDOW = 60
"""Words that are weighed together: who talks to a judge says it within a few sentences."""


@dataclass
class Passage:
    """A stretch of at most `WINDOW` words."""

    words: list[str] = field(default_factory=list)
    """The stems of its words in order, a number as it stands."""
    places: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Concept to the numbers of the words that speak of it; the end of a sentence counts as two words."""


def folded(text: str) -> str:
    """The text in lower case, without accents, in its plainest characters."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", re.sub("[\u0300-\u036f\u20e3\ufe0e\ufe0f]", "", parts))


def passages(text: str) -> list[Passage]:
    """The passages of a folded text; each begins in the middle of the one before."""
    tokens = _tokens(text)
    last = tokens[-1][0] if tokens else 0
    if last <= WINDOW:
        return [_passage(tokens)] if tokens else []
    found = []
    begin = end = 0
    for start in range(0, last, WINDOW // 2):
        while begin < len(tokens) and tokens[begin][0] <= start:
            begin += 1
        while end < len(tokens) and tokens[end][0] <= start + WINDOW:
            end += 1
        found.append(_passage(tokens[begin:end]))
        if end == len(tokens):
            break
    return found


def near(passage: Passage, concept: str, others: tuple[str, ...], within: int) -> bool:
    """Whether a concept stands within so many words of one of the others."""
    there = [at for other in others for at in passage.places.get(other, ())]
    return any(abs(here - at) <= within for here in passage.places.get(concept, ()) for at in there)


def _passage(tokens: list[tuple[int, str, tuple[str, ...]]]) -> Passage:
    made = Passage()
    for at, word, concepts in tokens:
        if word:
            made.words.append(word)
        for concept in concepts:
            made.places[concept].append(at)
    these = set(made.places.get("this", ()))
    mine = {at for at in made.places.get("answer", ()) if these & {at - 1, at - 2}} | set(made.places.pop("myself", ()))
    if mine:
        made.places["self"] = sorted(mine)
    return made


def _tokens(text: str) -> list[tuple[int, str, tuple[str, ...]]]:
    found: list[tuple[int, str, tuple[str, ...]]] = []
    at = 0
    scale = -9
    for token in TOKEN.findall(text):
        first = token[0]
        if first in ".!?;\n":
            at += 2
        elif first.isdigit():
            at += 1
            # The end of "1 to 5" names no score.
            concepts = ("range",) if token in SCALES and at - scale <= 2 else _of_number(token)
            scale = at if token in ("0", "1") else scale
            found.append((at, token, concepts))
        elif CJK.match(first):
            at += 1
            found += _in_run(token, at)
            at += (len(token) - 1) // 2
        else:
            at += 1
            found.append((at, token[:STEM], _of_word(token)))
    return found


def _in_run(run: str, at: int) -> list[tuple[int, str, tuple[str, ...]]]:
    exact, stems, _ = _lexicon()
    found = []
    for start in range(len(run)):
        concepts = {
            concept
            for end in range(start + 1, min(start + LONGEST_CJK, len(run)) + 1)
            for concept in (*exact.get(run[start:end], ()), *stems.get(run[start:end], ()))
        }
        found.append((at + start // 2, "", tuple(sorted(concepts))))
    return found


@lru_cache(maxsize=30_000)
def _of_word(word: str) -> tuple[str, ...]:
    if word[0] in "★⭐💯":
        return ("score", "topnumber") if len(word) >= 5 or word == "💯" else ()
    if word == "a+":
        return ("topnumber",)
    exact, stems, lengths = _lexicon()
    concepts = set(exact.get(word, ()))
    for length in lengths:
        if length > len(word):
            break
        concepts.update(stems.get(word[:length], ()))
    return tuple(sorted(concepts))


@lru_cache(maxsize=5_000)
def _of_number(number: str) -> tuple[str, ...]:
    if number in ("5", "10", "100", "100%", "5.0", "10.0", "1.0"):
        return ("topnumber",)
    if re.fullmatch(r"[01][–-](?:5|7|10|20|100)", number):
        return ("range",)
    given, slash, most = number.partition("/")
    return ("outof", "topnumber") if slash and given == most and given in SCALES else ()


@lru_cache(maxsize=1)
def _lexicon() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], range]:
    """Word to concepts, stem to concepts, and how long stems are."""
    exact: dict[str, set[str]] = defaultdict(set)
    stems: dict[str, set[str]] = defaultdict(set)
    concept = ""
    for line in (Path(__file__).parent / "concepts.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            concept, _, line = line.partition(":")
        for word in folded(line).split():
            (stems if word.endswith("*") else exact)[word.removesuffix("*")].add(concept)
    lengths = range(min(map(len, stems)), max(map(len, stems)) + 1)
    return {word: tuple(sorted(c)) for word, c in exact.items()}, {stem: tuple(sorted(c)) for stem, c in stems.items()}, lengths
