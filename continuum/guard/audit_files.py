"""The file that an audit travels in: JSON lines, or a table for a spreadsheet, in which nothing is computed or steers anything.

What a spreadsheet does to a table is borne: another separator, other ends of lines, a mark at the beginning, more columns.
"""

import csv
import json
import os
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from continuum.errors import ConfigurationError
from continuum.judging.injection import HIDDEN, SURROGATES

JSON_LINES, TABLE = ".jsonl", ".csv"
SCORE = "score: "
"""Begins the name of each field that people fill in; the metric's name follows."""
LONGEST_CELL = 12_000
"""Characters of a cell: below what a spreadsheet takes. Of a longer text the middle is left out."""
BULLET = re.compile(r"(?m)^([ \t]*)[-+*](?=\s)")
"""A list as people write it, which is to stay one."""
FORMULA = re.compile(r"([;,|\t\n][\s\"']*)([=+@＝＋＠-])")
"""What a spreadsheet would compute, were the sign before it the end of a cell."""
HEADER = re.compile(r"\"?id\"?([,;\t])")


def cell(text: str) -> str:
    """A text for people that neither a terminal nor a spreadsheet does anything with, provided it begins with a word."""
    text = SURROGATES.sub("\N{REPLACEMENT CHARACTER}", HIDDEN.sub("", text.replace("\r\n", "\n")))
    if len(text) > LONGEST_CELL:
        half = LONGEST_CELL // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
    return FORMULA.sub(r"\1'\2", BULLET.sub("\\1\N{BULLET}", text))


def unit(path: str | Path) -> str:
    """What a place in the file is called where people look for it."""
    return "line" if Path(path).suffix == JSON_LINES else "row"


def write_rows(path: str | Path, rows: list[dict[str, Any]]) -> None:
    """Write a file that nobody but its owner can read.

    Args:
        path: ends in `.jsonl` or `.csv`.
        rows: at least one; all have the same fields.

    Raises:
        ConfigurationError: the file is of another kind, is there already, or cannot be written.
    """
    target = _of_known_kind(path)
    if target.suffix == JSON_LINES:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        written = StringIO()
        table = csv.DictWriter(written, list(rows[0]), quoting=csv.QUOTE_ALL)
        table.writeheader()
        table.writerows(rows)
        # Spreadsheets take a file for UTF-8 by its mark alone.
        text = "\ufeff" + written.getvalue()
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(f"{target} is there already, and somebody may have scored in it; give another path") from error
    except OSError as error:
        raise ConfigurationError(f"the audit file {target} cannot be written: {error.strerror}; give another path") from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def read_rows(path: str | Path, refused: dict[int, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file, each with its number as an editor or a spreadsheet counts.

    Args:
        path: ends in `.jsonl` or `.csv`.
        refused: gets what is wrong with lines that are no rows, by number.

    Raises:
        ConfigurationError: there is no such file, it is of another kind, is no text, or does not begin as it was written.
    """
    target = _of_known_kind(path)
    try:
        with target.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no audit file {target}; give the one that was written and filled in") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the audit file {target} cannot be read as text; save it as UTF-8") from error
    return (_json_rows if target.suffix == JSON_LINES else _table_rows)(target, text, refused)


def _json_rows(_path: Path, text: str, refused: dict[int, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield number, row
        else:
            refused[number] = "it is no JSON object"


def _table_rows(path: Path, text: str, refused: dict[int, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    header = HEADER.match(text)
    table = csv.reader(StringIO(text, newline=""), delimiter=header.group(1) if header else ",")
    columns = next(table) if header else []
    if not any(column.startswith(SCORE) for column in columns):
        raise ConfigurationError(
            f"{path} does not begin with the names of its columns: 'id', and one beginning with {SCORE!r} for each metric; "
            "keep them as they were written"
        )
    number = 1
    while True:
        number += 1
        try:
            row = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            refused[number] = f"it is no row of a table: {error}"
            continue
        if any(row):
            yield number, dict(zip(columns, row, strict=False))


def _of_known_kind(path: str | Path) -> Path:
    target = Path(path)
    if target.suffix not in {JSON_LINES, TABLE}:
        raise ConfigurationError(f"an audit file ends in {JSON_LINES} or {TABLE}, found {target.name!r}; name it so")
    return target
