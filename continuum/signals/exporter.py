"""Export of a task's interactions: the plain form, which `continuum import` takes back, OpenAI's fine-tuning lines, or OTLP/JSON.

What leaves is what is stored: redacted, with hashes in place of user ids. A file is written beside its place and then renamed, so
it is whole or not there.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import orjson

from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.progress import Progress, silent
from continuum.records import Feedback, Interaction, Message
from continuum.signals.formats.otlp_writing import otlp_document
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.store.database import Store

ExportFormat = Literal["plain", "openai", "otlp"]
BATCH = 200
"""Interactions whose feedback is read at once, and that share one line of OTLP."""
STDOUT = "-"

KEPT = (
    *("id", "task", "conversation_id", "parent_id", "provider_response_id", "latency_ms", "time_to_first_chunk_ms", "model"),
    *("status", "error", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "deployment_id", "variant"),
)
SAID = ("id", "kind", "score", "label", "comment", "correction", "confidence", "trusted", "idempotency_key")


@dataclass(frozen=True)
class ExportReport:
    """What was written."""

    interactions: int
    feedback: int
    left_out: int
    """Interactions that the format has no place for: those that ended without an answer, in fine-tuning lines."""


def export(
    task: str,
    target: str | os.PathLike[str] | IO[bytes],
    *,
    format: ExportFormat = "plain",
    since: datetime | None = None,
    until: datetime | None = None,
    store: "Store | None" = None,
    on_progress: Progress = silent,
) -> ExportReport:
    """Write a task's interactions, in the order they reached the store.

    Args:
        task: the task.
        target: path of the file, which is replaced where there is one; `-` for stdout; or a binary file that is open.
        format: `plain` with feedback, `openai` for fine-tuning, `otlp` for traces with feedback as evaluations.
        since: leave out what began before.
        until: leave out what began then or later.
        store: where from; the default store when None.
        on_progress: called with the interactions written and those there are.

    Raises:
        ConfigurationError: the task or the format is not known, or the file cannot be written.
        StoreError: the store cannot be read.
    """
    checked_task_name(task)
    if format not in get_args(ExportFormat):
        raise ConfigurationError(f"format is {format!r}; it must be one of {', '.join(get_args(ExportFormat))}")
    store = default_store() if store is None else store
    if task not in store.tasks.names():
        raise ConfigurationError(f"there is no task {task!r}; `continuum tasks` lists those there are")
    # Fine-tuning learns from answers; the other forms keep failures too.
    found = store.interactions.scan(task, since=since, until=until, status="ok" if format == "openai" else None)
    total = store.interactions.count(task)
    written = said = left_out = 0
    with writable(target) as file:
        for batch in batches(found):
            opinions = {} if format == "openai" else store.feedback.of(batch)
            kept = [one for one in batch if format != "openai" or one.response is not None]
            for line in LINES[format](kept, opinions):
                write(file, line)
            written += len(kept)
            left_out += len(batch) - len(kept)
            said += sum(map(len, opinions.values()))
            on_progress(min(written, total), total, f"{written:,} interactions")
    return ExportReport(written, said, left_out)


def batches(found: Iterator[Interaction]) -> Iterator[list[Interaction]]:
    """Interactions, some at a time."""
    while batch := list(islice(found, BATCH)):
        yield batch


@contextmanager
def writable(target: str | os.PathLike[str] | IO[bytes]) -> Iterator[IO[bytes]]:
    """The file to write to; one that is named takes its name when it is whole."""
    if not isinstance(target, (str, os.PathLike)):
        yield target
        return
    if os.fspath(target) == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    try:
        # Readable by its owner alone, for it holds what people wrote.
        handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}; give a path in a folder that is there") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(unfinished).replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}; what was there before is still there") from error
    finally:
        with suppress(FileNotFoundError):
            Path(unfinished).unlink()


def write(file: IO[bytes], line: dict[str, Any]) -> None:
    """Write one line of JSON."""
    file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


# --- the forms ---

Opinions = dict[str, list[Feedback]]


def plain_lines(batch: Sequence[Interaction], opinions: Opinions) -> Iterator[dict[str, Any]]:
    """Each interaction with what was said of it, in the plain form."""
    for one in batch:
        row = {name: value for name in KEPT if (value := getattr(one, name)) is not None}
        row["started_at"] = one.started_at.isoformat()
        row["messages"] = [written(message) for message in one.messages]
        if one.response is not None:
            row["response"] = written(one.response)
        if one.user_id is not None:
            row["user_hash"] = one.user_id
        if one.tags:
            row["tags"] = one.tags
        # Written also where nobody knows it, so that it is not priced anew when it is taken back.
        row["cost_usd"] = one.cost_usd
        if said := opinions.get(one.id):
            row["feedback"] = [plain_feedback(feedback) for feedback in said]
        yield row


def plain_feedback(feedback: Feedback) -> dict[str, Any]:
    """Feedback in the plain form."""
    row = {name: value for name in SAID if (value := getattr(feedback, name)) is not None}
    row["recorded_at"] = feedback.recorded_at.isoformat()
    return row if feedback.user_id is None else row | {"user_hash": feedback.user_id}


def tuning_lines(batch: Sequence[Interaction], opinions: Opinions) -> Iterator[dict[str, Any]]:
    """Each answered interaction as a conversation to learn from."""
    for one in batch:
        yield {"messages": [message.to_openai() for message in one.conversation]}


def otlp_lines(batch: Sequence[Interaction], opinions: Opinions) -> Iterator[dict[str, Any]]:
    """The interactions as spans of one document."""
    if batch:
        yield otlp_document(batch, opinions)


def written(message: Message) -> dict[str, Any]:
    """A message as it was stored."""
    return message.model_dump(mode="json", exclude_unset=True)


LINES: dict[str, Callable[[Sequence[Interaction], Opinions], Iterable[dict[str, Any]]]] = {
    "plain": plain_lines,
    "openai": tuning_lines,
    "otlp": otlp_lines,
}
