"""Constraints that were drafted: one JSON file each, in the folder `constitution` of the home."""

import json
import re
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from continuum.errors import StoreError
from continuum.records import Record

LONGEST_RULE = 500
LONGEST_PROMPT = 500
LONGEST_ANSWER = 1500


class DraftedProbe(Record):
    """A question that tries a constraint, an answer that keeps it, and one that breaks it where one passed as such."""

    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)
    answer: str = Field(min_length=1, max_length=LONGEST_ANSWER)
    violating: str = Field(default="", max_length=LONGEST_ANSWER)


class Drafted(Record):
    """A constraint in the user's words, with the probes that a model wrote for it and that passed its check."""

    text: str = Field(min_length=1, max_length=LONGEST_RULE)
    model: str
    """Who wrote the probes."""
    judge: str | None = None
    """Who checked them; None where patterns did."""
    created_at: datetime
    check: Literal["pattern", "judge"]
    """`judge`: only a judge can tell whether an answer keeps it, so that nothing is filtered by it."""
    must: str | None = None
    """Regular expression that an answer to a probe has to match."""
    must_not: str | None = None
    """Regular expression that no answer may match."""
    probes: tuple[DraftedProbe, ...]
    held_out: tuple[DraftedProbe, ...]
    dropped: dict[str, int] = {}
    """What the model wrote besides, by why it was dropped."""
    cost_usd: float = 0.0


def folder_of(home: Path) -> Path:
    """Where drafted constraints lie."""
    return home / "constitution"


def file_of(folder: Path, words: str) -> Path:
    """The file of a constraint; `words` is its text as `same_words` gives it."""
    slug = re.sub(r"[^a-z0-9]+", "-", words)[:40].strip("-") or "constraint"
    return folder / f"{slug}-{sha256(words.encode(errors='backslashreplace')).hexdigest()[:12]}.json"


def write_drafted(folder: Path, words: str, drafted: Drafted) -> Path:
    """Write a drafted constraint, whole or not at all; one of the same text is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = file_of(folder, words)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(json.dumps(drafted.model_dump() | {"created_at": drafted.created_at.isoformat()}, indent=2) + "\n")
    unfinished.replace(path)
    return path


def read_drafted(folder: Path, words: str) -> Drafted | None:
    """The drafted constraint of a text; None where there is none.

    Raises:
        StoreError: its file holds something else.
    """
    path = file_of(folder, words)
    return read_file(path) if path.is_file() else None


def read_all(folder: Path) -> list[Drafted]:
    """Every drafted constraint of a folder, by file name."""
    return [read_file(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []


def read_file(path: Path) -> Drafted:
    """The drafted constraint of a file.

    Raises:
        StoreError: it holds something else.
    """
    try:
        # In ASCII, as it was written: what a model says may hold half surrogate pairs.
        return Drafted.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        raise StoreError(
            f"{path} is no drafted constraint ({type(error).__name__}); delete it and draft the constraint again"
        ) from error
