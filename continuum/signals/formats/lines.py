"""The records of a file: one JSON object a line, or one JSON document that holds them all.

Lines are read one by one, the file may be larger than memory. A document is read whole, up to MAX_DOCUMENT_BYTES.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from continuum.errors import ConfigurationError

MAX_LINE_BYTES = 16_000_000
MAX_DOCUMENT_BYTES = 256_000_000
"""A document takes several times its size in memory."""
LOOKED_AT = 50
"""Lines of which one must be an object by itself, in a file too large to be one document."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Line:
    """One record, decoded."""

    number: int
    """Of its line, counted from 1; 1 in a document."""
    content: Any = None
    error: Exception | None = None
    """Why it could not be decoded."""
    path: str = ""
    """Where it is in a document."""
    offset: int = 0
    """Of its line in the file."""
    end: int = 0
    """Bytes of the file up to its end; 0 in a document."""


def opened(path: str | os.PathLike[str]) -> IO[bytes]:
    """The file, open for reading.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise ConfigurationError(
            f"{os.fspath(path)} cannot be read: {error.strerror}; give the path of a JSON or JSONL file"
        ) from error


def records(file: IO[bytes]) -> Iterator[Line]:
    """The records of a file, from its beginning.

    Raises:
        ConfigurationError: it is one document, and too large to be read whole.
    """
    document = document_in(file)
    file.seek(0)
    if document is None:
        yield from lines(file)
    elif isinstance(document, list):
        yield from (Line(1, content, path=str(index)) for index, content in enumerate(document))
    else:
        yield Line(1, document)


def lines(file: IO[bytes]) -> Iterator[Line]:
    """The lines that are not blank, decoded or with the reason why they are not."""
    for number, offset, line in numbered_lines(file):
        try:
            if line is None:
                raise ValueError(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
            yield Line(number, decoded(line), offset=offset, end=file.tell())
        except (ValueError, RecursionError) as error:
            yield Line(number, error=error, offset=offset, end=file.tell())


def numbered_lines(file: IO[bytes]) -> Iterator[tuple[int, int, bytes | None]]:
    """Number, offset and bytes of each line that is not blank; None for one over MAX_LINE_BYTES, which is skipped unread."""
    number, offset = 0, file.tell()
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, offset, None
        elif line.strip():
            yield number, offset, line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        offset = file.tell()


def decoded(line: bytes) -> Any:
    """The JSON value that a line holds.

    Raises:
        ValueError: it holds none.
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # The slower parser takes lone surrogates, which are replaced later, and says what is wrong with the rest.
        return json.loads(line.decode("utf-8"), parse_constant=refuse_constant)


def refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity, JSON has none."""
    raise ValueError(f"it holds {name}, which is not JSON")


def document_in(file: IO[bytes]) -> dict[str, Any] | list[Any] | None:
    """The one JSON document that the file is; None where it is written line by line."""
    first = next(lines(file), None)
    file.seek(0)
    if first is None or isinstance(first.content, dict):
        return None
    size = os.fstat(file.fileno()).st_size
    if size > MAX_DOCUMENT_BYTES:
        if any(isinstance(line.content, dict) for line, _ in zip(lines(file), range(LOOKED_AT), strict=False)):
            return None
        raise ConfigurationError(
            f"the file holds no JSON object a line, and its {size:,} bytes are more than the {MAX_DOCUMENT_BYTES:,} that are "
            "read as one document; write it with one record a line"
        )
    try:
        found = whole(file.read().removeprefix(BYTE_ORDER_MARK))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, (dict, list)) else None


def whole(text: bytes) -> Any:
    """A document; a NaN stays in it as what it is, for the row that holds it to be refused by itself."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text.decode("utf-8"), parse_constant=lambda _: NotJSON())


class NotJSON:
    """NaN or Infinity in a document."""
