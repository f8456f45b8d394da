"""Import of logged conversations: the plain form, OpenAI's logs, OpenTelemetry, Langfuse and MLflow traces.

Each format is read into the plain form, checked there, cleaned of personal data and stored. A row is known by its id, so an
import may be repeated, or go on where it broke off. A bad row is named and left out, the rest goes in.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import orjson
from pydantic import ValidationError

from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.progress import Progress, silent
from continuum.records import Feedback, Interaction
from continuum.signals.formats.detect import Format, detected
from continuum.signals.formats.found import Bad, Found, Item, Opinion, Passed, Reader, reason_in
from continuum.signals.formats.langfuse import LangfuseReader
from continuum.signals.formats.lines import MAX_LINE_BYTES, Line, NotJSON, opened, records
from continuum.signals.formats.mlflow_trace import MLflowReader
from continuum.signals.formats.openai_log import OpenAIReader
from continuum.signals.formats.otlp import OTLPReader
from continuum.signals.formats.plain import REASON_LENGTH, ImportedFeedback, ImportedRow, PlainReader, explained
from continuum.spool.cleaning import Snapshot
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.spool.similar import NearRepeats
    from continuum.store.database import Store

BATCH_ROWS = 500
NO_TASK = frozenset({"openai", "langfuse", "mlflow"})
"""Formats whose rows never say what task they are of."""


@dataclass(frozen=True)
class Refusal:
    """A row that was left out, and why."""

    line: int
    """Counted from 1; 1 in a file that is one JSON document."""
    reason: str
    path: str = ""
    """Where in the line, or in the document, it is: `resourceSpans.0.scopeSpans.0.spans.2`."""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"line {self.line}, {self.path}" if self.path else f"line {self.line}"


@dataclass(frozen=True)
class ImportReport:
    """What became of a file: `read` is the sum of added, already there, erased and refused."""

    read: int
    """Rows that are, or should have been, interactions."""
    added: int
    already_there: int
    feedback_added: int
    refused: tuple[Refusal, ...]
    format: Format = "plain"
    notes: tuple[str, ...] = ()
    """What was passed over or not understood, each with how often."""
    erased: int = 0
    """Rows that were erased before, or are of a user who was; they are not taken in again."""


def import_file(
    path: str | os.PathLike[str],
    *,
    store: "Store | None" = None,
    task: str | None = None,
    format: Format | Literal["auto"] = "auto",
    redact: str | None = None,
    requests: str | os.PathLike[str] | None = None,
    on_progress: Progress = silent,
) -> ImportReport:
    """Import a file into the store, and register its tasks.

    Args:
        path: the file, JSONL or one JSON document. Lines are read one by one, they may be more than fit into memory.
        store: where to; the default store when None.
        task: file all rows under this task, whatever they say of theirs. OpenAI's logs, Langfuse and MLflow name none.
        format: how the file is written; told by its first records when `auto`.
        redact: name of the redactor that takes personal data out, or `off`; as the settings say when None.
        requests: the input file of an OpenAI batch, where `path` is its output.
        on_progress: called with the bytes read and the bytes of the file.

    Raises:
        ConfigurationError: the file cannot be read, `task` cannot be a task's name or is needed, or `format` or `redact` is
            not known.
        MissingExtra: the redactor is not installed.
        StoreError: the store cannot be opened.
    """
    if task is not None:
        checked_task_name(task)
    if format not in ("auto", *get_args(Format)):
        raise ConfigurationError(f"format is {format!r}; it must be auto, {', '.join(get_args(Format))}")
    with ExitStack() as stack:
        file = stack.enter_context(opened(path))
        beside = stack.enter_context(opened(requests)) if requests is not None else None
        chosen: Format = detected(records(file)) if format == "auto" else format
        if task is None and chosen in NO_TASK:
            raise ConfigurationError(f"{os.fspath(path)} is in the {chosen} format, which names no task; say which with task=")
        run = Import(default_store() if store is None else store, chosen, task, redactor_name(redact))
        reader = reader_of(chosen, file, beside)
        size = os.fstat(file.fileno()).st_size
        for done in run.go(reader, records(file)):
            on_progress(min(done or size, size), size, f"{run.read:,} {'lines' if chosen == 'plain' else 'rows'}")
        on_progress(size, size, f"{run.read:,} {'lines' if chosen == 'plain' else 'rows'}")
    return run.report()


def redactor_name(redact: str | None) -> str | None:
    """Who takes personal data out; None for nobody.

    Raises:
        ConfigurationError: there is no such redactor.
        MissingExtra: it is not installed.
    """
    from continuum.spool.redaction import redactor_named

    settings = load_settings()
    name = redact or ("off" if settings.redact == "off" else settings.redactor)
    if name == "off":
        return None
    redactor_named(name)
    return name


def reader_of(format: Format, file: IO[bytes], requests: IO[bytes] | None) -> Reader:
    """The reader of a format."""
    if format == "openai":
        return OpenAIReader(file, requests)
    return {"plain": PlainReader, "otlp": OTLPReader, "langfuse": LangfuseReader, "mlflow": MLflowReader}[format]()


@dataclass
class Import:
    """An import under way."""

    store: "Store"
    format: Format
    task: str | None
    redact: str | None
    imported_at: datetime = field(default_factory=utc_now)
    read: int = 0
    added: int = 0
    erased: int = 0
    feedback_added: int = 0
    refused: list[Refusal] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    _rows: list[tuple[dict[str, Any], list[dict[str, Any]], Refusal]] = field(default_factory=list)
    """Drafts of interactions and of their feedback, each with the refusal it would be if it cannot be finished."""
    _opinions: list[dict[str, Any]] = field(default_factory=list)
    _first_places: dict[int, str] = field(default_factory=dict)
    """Hash of an id to the place that had it first; hashes, because a file may hold millions of ids."""
    _tasks: set[str] = field(default_factory=set)
    _near: "NearRepeats | None" = None

    def go(self, reader: Reader, found: Iterator[Line]) -> Iterator[int]:
        """Take all records; after each batch, the bytes of the file that are done."""
        for record in found:
            for item in self._items(reader, record):
                self._take(item, record)
            if len(self._rows) + len(self._opinions) >= BATCH_ROWS:
                self._write()
                yield record.end
        self._write()

    def _items(self, reader: Reader, record: Line) -> Iterator[Item]:
        if record.error is not None:
            yield Bad(decoding_reason(record.error), record.path)
            return
        try:
            yield from reader.items(record)
        except (ValueError, RecursionError) as error:
            yield Bad(reason_in(error), record.path)

    def _take(self, item: Item, record: Line) -> None:
        if isinstance(item, Passed):
            self.notes[item.note] += 1
            return
        try:
            if isinstance(item, Bad):
                raise ValueError(item.reason)
            if isinstance(item, Opinion):
                self._take_opinion(item)
            else:
                self._take_row(item, record)
            self.notes.update(item.notes)
        except ValidationError as error:
            self._refuse(record, explained(error), item)
        except (ValueError, RecursionError) as error:
            self._refuse(record, reason_in(error), item)

    def _refuse(self, record: Line, reason: str, item: Found | Opinion | Bad) -> None:
        self.read += 1
        self.refused.append(Refusal(record.number, reason[:REASON_LENGTH], item.path))

    def _take_row(self, found: Found, record: Line) -> None:
        row = ImportedRow.model_validate(found.row if self.task is None else {**found.row, "task": self.task})
        draft = fit(row.draft(self.imported_at, self.redact))
        said = [fit(one) for one in row.said(self.imported_at, self.redact)]
        place = Refusal(record.number, "it could not be finished", found.path)
        first = self._first_places.setdefault(hash(draft["id"]), place.place)
        if first != place.place:
            raise ValueError(f"id: it was at {first} already")
        self.read += 1
        self._rows.append((draft, said, place))

    def _take_opinion(self, opinion: Opinion) -> None:
        said = ImportedFeedback.model_validate(opinion.said)
        key = f"{opinion.interaction_id}:{said.label or said.score}"
        self._opinions.append(fit(said.draft(opinion.interaction_id, key, self.imported_at, self.redact)))

    # --- a batch ---

    def _write(self) -> None:
        """Finish and write what was taken since the last time."""
        finished = self._finished()
        self._register_tasks(finished)
        if finished:
            self.added += self.store.interactions.add(self._flagged(finished), on_erased=self._count_erased)
        kept = {interaction.id for interaction in finished}
        said = [one for draft, opinions, _ in self._rows if draft["id"] in kept for one in opinions] + self._opinions
        if said:
            self.feedback_added += self.store.feedback.add(a_feedback(one) for one in said)
        self._rows.clear()
        self._opinions.clear()

    def _count_erased(self, ids: Sequence[str]) -> None:
        self.erased += len(ids)

    def _finished(self) -> list[Interaction]:
        from continuum.spool.finishing import finish, finish_all  # numpy starts here

        try:
            return finish_all([draft for draft, _, _ in self._rows])
        except ValueError:
            finished: list[Interaction] = []
        for draft, _, place in self._rows:
            try:
                finished.append(finish(draft))
            except ValidationError as error:
                self.refused.append(replace(place, reason=explained(error)))
            except ValueError:
                self.refused.append(place)
        return finished

    def _flagged(self, finished: list[Interaction]) -> list[Interaction]:
        from continuum.spool.similar import NearRepeats

        self._near = self._near or NearRepeats()
        return self._near.flag(finished, self.store)

    def _register_tasks(self, finished: list[Interaction]) -> None:
        """Register the tasks that have a row among those taken; a row that is there already stays under the task it has."""
        unknown = [one for one in finished if one.task not in self._tasks]
        there = self.store.interactions.get_many(one.id for one in unknown)
        for task in {one.task for one in unknown if one.id not in there or there[one.id].task == one.task}:
            self.store.tasks.ensure(task)
            self._tasks.add(task)

    def report(self) -> ImportReport:
        """What became of the file."""
        refused = tuple(sorted(self.refused, key=lambda refusal: refusal.line))
        already_there = self.read - self.added - self.erased - len(refused)
        notes = tuple(f"{count:,} {note}" for note, count in self.notes.items())
        return ImportReport(self.read, self.added, already_there, self.feedback_added, refused, self.format, notes, self.erased)


def a_feedback(draft: dict[str, Any]) -> Feedback:
    """Feedback as it is stored."""
    from continuum.spool.finishing import finish_feedback

    return finish_feedback(draft)


def fit(draft: dict[str, Any]) -> dict[str, Any]:
    """A draft that every store takes: NUL and lone surrogates replaced.

    Raises:
        ValueError: it holds what no JSON can, or is nested too deeply.
    """
    try:
        if b"\\u0000" not in orjson.dumps(draft):
            return draft
    except TypeError as error:
        if "ecursion" in str(error):
            raise ValueError("it is nested too deeply") from None
    refuse_constants(draft)
    return {name: Snapshot(MAX_LINE_BYTES, nodes=MAX_LINE_BYTES).take(value) for name, value in draft.items()}


def refuse_constants(value: Any) -> None:
    """Refuse what a document holds in the place of a number that JSON does not have."""
    if isinstance(value, NotJSON):
        raise ValueError("it holds NaN or Infinity, which is not JSON")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        refuse_constants(inner)


def decoding_reason(error: Exception) -> str:
    """Why a line could not be decoded, without the line's content."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {error.start + 1}"
    if isinstance(error, ValueError) and hasattr(error, "pos"):
        return f"it is not JSON: {getattr(error, 'msg', 'it ends early')} at character {getattr(error, 'pos', 0) + 1}"
    return reason_in(error)
