"""General text: plain documents that stand for what a model could do before it learned a task.

The bundled ones are a few hundred words each of many kinds and four languages, written for this and never trained on. A file of
one's own says more about what a deployment needs, and takes their place.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from continuum.errors import ConfigurationError

BUNDLED = "general_texts.jsonl"
MOST_DOCUMENTS = 2000
LONGEST_DOCUMENT = 100_000
"""Characters of a line."""


@dataclass(frozen=True)
class Document:
    """One text."""

    id: str
    """`general-` and the start of the sha256 of its words."""
    text: str


def general_texts(path: str | Path | None = None) -> tuple[Document, ...]:
    """The bundled documents, or those of a file: each once, in the order they stand there.

    Args:
        path: a file with one document a line: as it is, or in a file that ends in `.jsonl` as `{"text": ...}`. None for the
            bundled ones.

    Raises:
        ConfigurationError: there is no such file, it holds no document or too many, or a line of it is none; the message
            names the line.
    """
    if path is None:
        return _read((files("continuum.guard") / BUNDLED).read_text(encoding="utf-8"), BUNDLED, as_json=True)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"general texts cannot be read from {path}: {error}") from error
    return _read(text, str(path), as_json=Path(path).suffix.lower() == ".jsonl")


def fingerprint_of(texts: Iterable[str]) -> str:
    """A sha256 over texts in their order: which ones a figure was measured on."""
    return sha256("\0".join(texts).encode("utf-8", "backslashreplace")).hexdigest()


def _read(text: str, source: str, *, as_json: bool) -> tuple[Document, ...]:
    documents: dict[str, Document] = {}
    # Only a newline ends a line; words may hold other characters that str.splitlines splits at.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number} of {source}"
        if len(line) > LONGEST_DOCUMENT:
            raise ConfigurationError(f"{where} has {len(line)} characters; a general text has at most {LONGEST_DOCUMENT}")
        words = _words(line, where) if as_json else line.strip()
        name = f"general-{sha256(words.encode('utf-8', 'backslashreplace')).hexdigest()[:16]}"
        documents[name] = Document(name, words)
    if not 1 <= len(documents) <= MOST_DOCUMENTS:
        raise ConfigurationError(
            f"{source} holds {len(documents)} general texts; write between 1 and {MOST_DOCUMENTS}, one a line, best 200 or more"
        )
    return tuple(documents.values())


def _words(line: str, where: str) -> str:
    try:
        words = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(f'{where} is no document like {{"text": "..."}} ({type(error).__name__})') from error
    if not isinstance(words, str) or not words.strip():
        raise ConfigurationError(f"{where} has no words under `text`; write them there, or delete the line")
    return words
