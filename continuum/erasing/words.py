"""What was said by those who are forgotten, as hashes of short runs of words: by them it is found wherever it is quoted.

Kept are hashes under a key of the request, and no words, so that a request which was broken off can go on. A run that others have
said too says nothing of anybody, and is none of them.
"""

import html
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

from continuum.erasing.names import Names
from continuum.records import Interaction, Message

RUN = 5
"""Words of a run."""
SHORTEST = 12
"""Characters of a text that has fewer words than a run, from which on it is one."""
RAREST = 6
"""Characters of a single word with digits and letters in it, such as the number of an order, from which on it is a run."""
LONGEST_NUMBER = 9
"""Digits of a number, such as that of a telephone, from which on it is a run."""
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Letters of languages that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
WORD = re.compile(rf"[{UNSPACED}]+|[^\W_{UNSPACED}]+")
IS_UNSPACED = re.compile(rf"[{UNSPACED}]")
DIGIT = re.compile(r"\d")
ADDRESS = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
ESCAPED = re.compile(r"(?:\\+u[0-9a-fA-F]{4})+|\\+[nrtbf]")
GONE = "[erased]"
"""Stands where something was taken out of a text."""
NAMING = ("interaction_id", "id")
SAID = frozenset(
    {"question", "answer", "reference", "baseline_answer", "candidate_answer", "answers", "words", "text", "comment", "response"}
)
"""Fields of what is kept of an interaction that hold its words, or a hash of them."""


class Runs:
    """Runs of words, as hashes.

    Args:
        key: of the hashes.
        hashes: of runs that were added before, elsewhere.
    """

    def __init__(self, key: str, hashes: Collection[str] = ()) -> None:
        self.key = key.encode()[:64]
        self.hashes = set(hashes)
        # Only as long as this lives, so that the words of a whole store are looked up and not hashed.
        self._added: dict[str, str] = {}

    def add(self, texts: Iterable[str]) -> None:
        """What these texts say is to be found."""
        for run in (run for text in texts for run in _runs_of(text)):
            if run not in self._added:
                self._added[run] = self._hash(run)
                self.hashes.add(self._added[run])

    def discard(self, texts: Iterable[str]) -> None:
        """What these texts say too is nobody's own: of what was added here, it is not to be found."""
        for text in texts:
            for run in _runs_of(text):
                if run in self._added:
                    self.hashes.discard(self._added.pop(run))

    def stand_in(self, text: str) -> bool:
        """Whether a text quotes one of them, plainly or as a page or an address would write it."""
        if not self.hashes or len(text) < RAREST:
            return False
        forms = [text]
        forms += [unescaped(text)] if "\\" in text else []
        forms += [unquote(text)] if "%" in text else []
        forms += [html.unescape(text)] if "&" in text else []
        return any(self._hash(run) in self.hashes for form in forms for run in _runs_of(form, quoted=True))

    def _hash(self, run: str) -> str:
        return blake2b(run.encode("utf-8", "replace"), key=self.key, digest_size=8).hexdigest()


def _runs_of(text: str, *, quoted: bool = False) -> Iterator[str]:
    """The runs of a text; of one that may quote another, those of fewer words too, for the other may be that short."""
    words = _words_of(text)
    for place in range(len(words) - RUN + 1):
        yield " ".join(words[place : place + RUN])
    for length in range(1, RUN) if quoted else ():
        for place in range(len(words) - length + 1):
            if sum(map(len, words[place : place + length])) >= SHORTEST:
                yield " ".join(words[place : place + length])
    if 0 < len(words) < RUN and not quoted and sum(map(len, words)) >= SHORTEST:
        yield " ".join(words)
    for address in ADDRESS.findall(text) if "@" in text and not quoted else ():
        if len(named := _words_of(address)) < RUN and sum(map(len, named)) >= SHORTEST:
            yield " ".join(named)
    if DIGIT.search(text):
        yield from (word for word in words if len(word) >= RAREST and _is_rare(word))


def _words_of(text: str) -> list[str]:
    """The words of a text in their order; of what is written without spaces, each two letters that follow one another."""
    if text.isascii():
        return WORD.findall(text.lower())
    found = list[str]()
    for word in WORD.findall(unicodedata.normalize("NFKC", text)):
        if len(word) > 2 and IS_UNSPACED.match(word):
            found += [word[place : place + 2] for place in range(len(word) - 1)]
        else:
            found.append(word.casefold())
    return found


def _is_rare(word: str) -> bool:
    digits = sum(map(str.isdigit, word))
    return digits >= LONGEST_NUMBER if digits == len(word) else digits > 0 and any(map(str.isalpha, word))


def unescaped(text: str) -> str:
    """A text in which JSON, or JSON within JSON, escapes letters and ends of lines, as it is read."""

    def read(found: "re.Match[str]") -> str:
        codes = re.findall(r"u([0-9a-fA-F]{4})", found.group())
        # Letters beyond the first plane come as two codes that only together are one.
        return bytes.fromhex("".join(codes)).decode("utf-16-be", "replace") if codes else "\n"

    return ESCAPED.sub(read, text)


def texts_of(interaction: Interaction) -> list[str]:
    """What people and models said in an interaction; what the application instructs is not anybody's own."""
    said = [message for message in interaction.messages if message.role not in ("system", "developer")]
    answer = [interaction.response] if interaction.response is not None else []
    own = [text for message in (*said, *answer) for text in _texts_in(message)]
    return [*own, *([interaction.error] if interaction.error else []), *interaction.tags.values()]


def _texts_in(message: Message) -> list[str]:
    beside = [text for value in (message.model_extra or {}).values() for text in _strings_in(value)]
    return [text for text in (message.text, message.action, *beside) if text]


def _strings_in(value: Any) -> Iterator[str]:
    """Every text in what a message carries beside its words: what a model thought, a name, the name of a file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings_in(one)


class Taking:
    """Takes ids and words out of what holds them.

    Args:
        stones: id to what stands in its place.
        runs: what is found by its words.
    """

    def __init__(self, stones: Mapping[str, str], runs: Runs) -> None:
        self.stones = dict(stones)
        self.runs = runs
        self._names = Names(stones)

    @property
    def plain(self) -> int:
        """How many of the ids are found only where a field names them: see `Names`."""
        return len(self._names.plain)

    def out_of(self, value: Any) -> Any:
        """What is left of a value: JSON, or text."""
        if isinstance(value, str):
            return self._out_of_text(value)
        if isinstance(value, list):
            return [self.out_of(one) for one in value]
        if not isinstance(value, dict):
            return value
        if any(isinstance(value.get(name), str) and value[name] in self.stones for name in NAMING):
            value = _silenced(value)
        return {self._out_of_text(str(name)): self._out_of_field(str(name), inner) for name, inner in value.items()}

    def out_of_text(self, text: str) -> str:
        """What is left of a text that may be JSON, or lines of text and JSON."""
        if not text or not self._is_touched(text):
            return text
        found = _read(text)
        if isinstance(found, dict | list):
            left = self.out_of(found)
            return text if left == found else json.dumps(left)
        if found is not None:
            return self._out_of_text(text)
        return "\n".join(self._out_of_line(line) for line in text.split("\n"))

    def _is_touched(self, text: str) -> bool:
        forms = [text, unescaped(text)] if "\\" in text else [text]
        named = any(self._names.stand_in(form) or self._names.stand_quoted_in(form) for form in forms)
        return named or self.runs.stand_in(text)

    def _out_of_line(self, line: str) -> str:
        found = _read(line) if line[:1] in ("{", "[") else None
        if not isinstance(found, dict | list):
            return self._out_of_text(line)
        left = self.out_of(found)
        return line if left == found else json.dumps(left)

    def _out_of_field(self, field: str, value: Any) -> Any:
        if isinstance(value, str) and (stone := self._names.of_field(field, value)) is not None:
            return stone
        if isinstance(value, list):
            return [self._out_of_field(field, one) for one in value]
        return self.out_of(value)

    def _out_of_text(self, text: str) -> str:
        if text[:1] in ("{", "[") and self._is_touched(text):
            # JSON inside of JSON, as event logs have it.
            found = _read(text)
            if isinstance(found, dict | list):
                left = self.out_of(found)
                return text if left == found else json.dumps(left)
        if self.runs.stand_in(text):
            if "\n" not in text:
                return GONE
            others = "\n".join(GONE if self.runs.stand_in(line) else line for line in text.split("\n"))
            text = others if not self.runs.stand_in(others) else GONE
        return self._names.out_of(text)


def _read(text: str) -> Any:
    """What JSON says; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _silenced(entry: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an erased interaction without its words."""
    return {name: _nothing(inner) if name in SAID else _deeper(inner) for name, inner in entry.items()}


def _deeper(value: Any) -> Any:
    if isinstance(value, list):
        return [_deeper(one) for one in value]
    return _silenced(value) if isinstance(value, dict) else value


def _nothing(value: Any) -> Any:
    if isinstance(value, list):
        return [None for _ in value]
    return GONE if isinstance(value, str) else None
