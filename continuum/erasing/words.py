"""What was said by those who are forgotten, as hashes of short runs of words: by them it is found wherever it is quoted.

Kept are hashes under a key of the request, and no words, so that a request which was broken off can go on. A run that others have
said too says nothing of anybody, and is none of them.
"""

import html
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

from continuum.records import Interaction, Message

RUN = 5
"""Words of a run."""
SHORTEST = 12
"""Characters of a text that has fewer words than a run, from which on it is one."""
RAREST = 6
"""Characters of a single word with digits and letters in it, such as the number of an order, from which on it is a run."""
WORD = re.compile(r"[^\W_]+")
GONE = "[erased]"
"""Stands where something was taken out of a text."""
NAMING = ("interaction_id", "id")
SAID = frozenset(
    {"question", "answer", "reference", "baseline_answer", "candidate_answer", "answers", "words", "text", "comment", "response"}
)
"""Fields of what is kept of an interaction that hold its words, or a hash of them."""


class Runs:
    """Runs of words, as hashes."""

    def __init__(self, key: str, hashes: Collection[str] = ()) -> None:
        self.key = key.encode()[:64]
        self.hashes = set(hashes)

    def add(self, texts: Iterable[str]) -> None:
        """What these texts say is to be found."""
        self.hashes.update(one for text in texts for one in self._of(text))

    def discard(self, texts: Iterable[str]) -> None:
        """What these texts say too is nobody's own."""
        for text in texts:
            self.hashes.difference_update(self._of(text))

    def stand_in(self, text: str) -> bool:
        """Whether a text quotes one of them, plainly or as a page or an address would write it."""
        if not self.hashes or len(text) < RAREST:
            return False
        forms = [text]
        forms += [unquote(text)] if "%" in text else []
        forms += [html.unescape(text)] if "&" in text else []
        return any(one in self.hashes for form in forms for one in self._of(form, quoted=True))

    def _of(self, text: str, *, quoted: bool = False) -> Iterator[str]:
        words = [word.casefold() for word in WORD.findall(text)]
        for place in range(max(0, len(words) - RUN + 1)):
            yield self._hash(words[place : place + RUN])
        for length in range(1, RUN) if quoted else ():
            # A whole short text may be quoted within a longer one.
            for place in range(max(0, len(words) - length + 1)):
                if sum(map(len, words[place : place + length])) >= SHORTEST:
                    yield self._hash(words[place : place + length])
        if 0 < len(words) < RUN and not quoted and sum(map(len, words)) >= SHORTEST:
            yield self._hash(words)
        yield from (self._hash([word]) for word in words if len(word) >= RAREST and _is_rare(word))

    def _hash(self, words: list[str]) -> str:
        said = " ".join(words).encode("utf-8", "replace")
        return blake2b(said, key=self.key, digest_size=8).hexdigest()


def _is_rare(word: str) -> bool:
    return any(sign.isdigit() for sign in word) and any(sign.isalpha() for sign in word)


def texts_of(interaction: Interaction) -> list[str]:
    """What people and models said in an interaction; what the application instructs is not anybody's own."""
    said = [message for message in interaction.messages if message.role not in ("system", "developer")]
    answer = [interaction.response] if interaction.response is not None else []
    own = [text for message in (*said, *answer) for text in _texts_in(message)]
    return [*own, *([interaction.error] if interaction.error else []), *interaction.tags.values()]


def _texts_in(message: Message) -> list[str]:
    return [text for text in (message.text, message.action) if text]


class Taking:
    """Takes ids and words out of what holds them.

    Args:
        stones: id to what stands in its place.
        runs: what is found by its words.
    """

    def __init__(self, stones: Mapping[str, str], runs: Runs) -> None:
        self.stones = dict(stones)
        self.runs = runs
        self._named = re.compile("|".join(map(re.escape, sorted(stones, key=len, reverse=True)))) if stones else None

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
        return {self._out_of_text(str(name)): self.out_of(inner) for name, inner in value.items()}

    def out_of_text(self, text: str) -> str:
        """What is left of a text that may be JSON, or lines of text and JSON."""
        if not text or not (self._names(text) or self.runs.stand_in(text)):
            return text
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return "\n".join(self._out_of_line(line) for line in text.split("\n"))
        if isinstance(found, dict | list):
            left = self.out_of(found)
            return text if left == found else json.dumps(left)
        return self._out_of_text(text)

    def _out_of_line(self, line: str) -> str:
        if line[:1] in "{[":
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                return self._out_of_text(line)
            left = self.out_of(found)
            return line if left == found else json.dumps(left)
        return self._out_of_text(line)

    def _out_of_text(self, text: str) -> str:
        if text[:1] in ("{", "[") and self._names(text):
            # JSON inside of JSON, as event logs have it.
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                found = None
            if isinstance(found, dict | list):
                return json.dumps(self.out_of(found))
        if self.runs.stand_in(text):
            if "\n" not in text:
                return GONE
            left = "\n".join(GONE if self.runs.stand_in(line) else line for line in text.split("\n"))
            text = left if not self.runs.stand_in(left) else GONE
        return self._named.sub(lambda found: self.stones[found.group()], text) if self._named and self._names(text) else text

    def _names(self, text: str) -> bool:
        return self._named is not None and self._named.search(text) is not None


def _silenced(entry: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an erased interaction without its words."""
    return {name: _nothing(inner) if name in SAID else _deeper(inner) for name, inner in entry.items()}


def _deeper(value: Any) -> Any:
    return _silenced(value) if isinstance(value, dict) else value


def _nothing(value: Any) -> Any:
    if isinstance(value, list):
        return [None for _ in value]
    return GONE if isinstance(value, str) else None
