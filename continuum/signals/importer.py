"""Import of logged conversations, one JSON object a line.

    {"id", "task", "conversation_id", "started_at", "model", "messages", "response", "feedback": {"score", "label"}}

A row is known by its id, so an import may be repeated, or go on where it broke off. A bad line is named and left out, the rest
goes in.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.progress import Progress, silent
from continuum.records import Feedback, Interaction, Message
from continuum.spool.cleaning import MAX_ID, Snapshot
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

MAX_LINE_BYTES = 16_000_000
BATCH_LINES = 500
REASON_LENGTH = 300

JSON_NAMES = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}
JSON_WORDS = {
    **dict.fromkeys(("tuple_type", "list_type"), "should be a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "should be an object"),
    "string_type": "should be a string",
    "too_short": "should not be empty",
}
"""What pydantic finds, in the words of the file's format where its own are Python's."""
FORMS = frozenset({"str", "list[dict[str,any]]"})
"""Names that pydantic gives to the forms that a field may have; they are no part of the file."""

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
Words = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Refusal:
    """A line that was left out, and why."""

    line: int
    """Counted from 1."""
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What became of a file: `read` is the sum of added, already there and refused."""

    read: int
    """Lines that are not blank."""
    added: int
    already_there: int
    feedback_added: int
    refused: tuple[Refusal, ...]


class ImportedFeedback(BaseModel):
    """The human verdict on a row."""

    model_config = ConfigDict(frozen=True, strict=True)

    score: float | None = Field(default=None, ge=1, le=5)
    label: Words | None = None
    comment: Words | None = None
    correction: Words | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "ImportedFeedback":
        if not self.model_dump(exclude_none=True):
            raise ValueError("it holds none of score, label, comment and correction")
        return self


class ImportedRow(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(frozen=True)

    id: Id
    task: str
    conversation_id: Id | None = None
    user_id: Id | None = None
    started_at: datetime | None = None
    model: str | None = None
    messages: tuple[Message, ...] = Field(min_length=1)
    response: Message
    feedback: ImportedFeedback | None = None

    _task = field_validator("task")(checked_task_name)

    @field_validator("started_at", mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, str):
            raise ValueError("a time must be written like 2026-03-01T12:00:00Z")
        return value

    @field_validator("started_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        # At the ends of the calendar another zone's time would be of a year that neither Python nor a database can name.
        if not MINYEAR < value.year < MAXYEAR:
            raise ValueError("a time must be of a year from 2 to 9998")
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)

    @field_validator("response")
    @classmethod
    def _answers(cls, value: Message) -> Message:
        if value.content is None and not value.tool_calls:
            raise ValueError("it has neither content nor tool calls")
        return value

    def began(self, imported_at: datetime) -> datetime:
        """When it began: a time without a zone is UTC, a row without a time began when it was imported."""
        return self.started_at or imported_at

    def interaction(self, imported_at: datetime) -> Interaction:
        """The row as an interaction."""
        kept = ("id", "task", "conversation_id", "user_id", "model", "messages", "response")
        return Interaction(**{name: getattr(self, name) for name in kept}, started_at=self.began(imported_at), source="import")

    def said(self, imported_at: datetime) -> Feedback | None:
        """The row's feedback, known by the row's id; dated with the row, so that whatever is said later is newer."""
        if self.feedback is None:
            return None
        return Feedback(
            interaction_id=self.id,
            recorded_at=self.began(imported_at),
            idempotency_key=f"import:{self.id}",
            **self.feedback.model_dump(),
        )


def import_jsonl(
    path: str | os.PathLike[str], *, store: "Store | None" = None, task: str | None = None, on_progress: Progress = silent
) -> ImportReport:
    """Import a file into the store, and register its tasks.

    Args:
        path: the file; it is read line by line and may be larger than memory.
        store: where to; the default store when None.
        task: file all rows under this task, whatever they say of theirs.
        on_progress: called with the bytes read and the bytes of the file.

    Raises:
        ConfigurationError: the file cannot be read, or `task` cannot be a task's name.
        StoreError: the store cannot be opened.
    """
    if task is not None:
        checked_task_name(task)
    with opened(path) as file:
        run = Import(default_store() if store is None else store, task)
        size = os.fstat(file.fileno()).st_size
        for number, line in numbered_lines(file):
            run.take(number, line)
            if run.read % BATCH_LINES == 0:
                on_progress(min(file.tell(), size), size, f"{run.read:,} lines")
        run.write()
        on_progress(size, size, f"{run.read:,} lines")
    return run.report()


def opened(path: str | os.PathLike[str]) -> IO[bytes]:
    """The file, open for reading."""
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise ConfigurationError(f"{os.fspath(path)} cannot be read: {error.strerror}; give the path of a JSONL file") from error


def numbered_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, with their numbers; None for one longer than MAX_LINE_BYTES, which is skipped unread."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif line.strip():
            yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


@dataclass
class Import:
    """An import under way."""

    store: "Store"
    task: str | None
    imported_at: datetime = field(default_factory=utc_now)
    read: int = 0
    added: int = 0
    feedback_added: int = 0
    refused: list[Refusal] = field(default_factory=list)
    _rows: list[ImportedRow] = field(default_factory=list)
    _first_lines: dict[int, int] = field(default_factory=dict)
    """Hash of an id to the line that had it first; hashes, because a file may hold millions of ids."""
    _tasks: set[str] = field(default_factory=set)

    def take(self, number: int, line: bytes | None) -> None:
        """Take one line; rows are written in batches."""
        self.read += 1
        try:
            row = parsed(line, self.task)
            first = self._first_lines.setdefault(hash(row.id), number)
            if first != number:
                raise ValueError(f"id: {row.id!r} was on line {first} already")
        except (ValueError, RecursionError) as error:
            self.refused.append(Refusal(number, reason_of(error)))
            return
        self._rows.append(row)
        if len(self._rows) >= BATCH_LINES:
            self.write()

    def write(self) -> None:
        """Write the rows taken since the last time."""
        self._register_tasks()
        self.added += self.store.interactions.add(row.interaction(self.imported_at) for row in self._rows)
        said = [feedback for row in self._rows if (feedback := row.said(self.imported_at)) is not None]
        self.feedback_added += self.store.feedback.add(said)
        self._rows.clear()

    def _register_tasks(self) -> None:
        """Register the tasks that have a row among those taken; a row that is there already stays under the task it has."""
        open_rows = [row for row in self._rows if row.task not in self._tasks]
        there = self.store.interactions.get_many(row.id for row in open_rows)
        for task in {row.task for row in open_rows if row.id not in there or there[row.id].task == row.task}:
            self.store.tasks.ensure(task)
            self._tasks.add(task)

    def report(self) -> ImportReport:
        """What became of the file."""
        already_there = self.read - self.added - len(self.refused)
        return ImportReport(self.read, self.added, already_there, self.feedback_added, tuple(self.refused))


def parsed(line: bytes | None, task: str | None) -> ImportedRow:
    """The row that a line holds.

    Raises:
        ValueError: it holds none.
    """
    if line is None:
        raise ValueError(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
    content = json.loads(line.decode("utf-8"), parse_constant=refuse_constant)
    if not isinstance(content, dict):
        raise ValueError(f"the line holds {JSON_NAMES[type(content)]}, not an object")
    if b"\\u0000" in line or b"\\ud" in line.lower():
        content = Snapshot(MAX_LINE_BYTES, nodes=MAX_LINE_BYTES).take(content)
    return ImportedRow.model_validate(content if task is None else content | {"task": task})


def refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity, JSON has none."""
    raise ValueError(f"it holds {name}, which is not JSON")


def reason_of(error: Exception) -> str:
    """Why a line was refused, in one line without the line's content."""
    if isinstance(error, ValidationError):
        found: dict[str, list[str]] = {}
        for one in error.errors(include_url=False, include_input=False):
            found.setdefault(".".join(str(part) for part in one["loc"] if part not in FORMS), []).append(
                JSON_WORDS.get(one["type"]) or one["msg"].removeprefix("Value error, ").removeprefix("Input ")
            )
        reason = "; ".join(f"{place}: {' or '.join(words)}" for place, words in found.items())
    elif isinstance(error, UnicodeDecodeError):
        reason = f"it is not UTF-8 at byte {error.start + 1}"
    elif isinstance(error, json.JSONDecodeError):
        reason = f"it is not JSON: {error.msg} at character {error.pos + 1}"
    elif isinstance(error, RecursionError):
        reason = "it is nested too deeply"
    else:
        reason = str(error)
    return reason[:REASON_LENGTH]
