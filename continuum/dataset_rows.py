"""What a dataset version holds, as rows: canonical ones for its fingerprint, Parquet ones for people and trainers."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from continuum.errors import StoreError
from continuum.records import Example, Message, Record, ToolCall

if TYPE_CHECKING:
    import polars

FORMAT = 2
"""Grows when the same inputs would give another dataset than before."""
ROWS = "examples.parquet"
VALIDATION = "-validation"
"""Ends the name of the file that holds a table's validation rows."""


class PreferencePair(Record):
    """Two answers to one context, the better one known from people: a row for DPO (Rafailov et al. 2023)."""

    interaction_id: str
    """Of the chosen answer; a correction carries the id of the answer it corrects."""
    rejected_id: str
    """Of the interaction whose answer was rejected; the same id where a correction replaced it."""
    messages: tuple[Message, ...]
    chosen: Message
    rejected: Message
    source: Literal["correction", "verdicts", "constraint"]
    """`correction`: a person wrote the chosen answer. `verdicts`: people called the one good and the other bad. `constraint`: the
    chosen answer keeps a constitutional constraint that the rejected one breaks; no dataset holds such pairs."""
    split: Literal["train", "validation"] = "train"
    group: str


class RatedAnswer(Record):
    """One answer that people called good or bad: a row for KTO (Ethayarajh et al. 2024)."""

    interaction_id: str
    messages: tuple[Message, ...]
    response: Message
    desirable: bool
    source: Literal["correction", "verdict"]
    split: Literal["train", "validation"] = "train"
    group: str


class Removed(Record):
    """An interaction that a stage took out, and why; its words stay in the store."""

    interaction_id: str
    stage: str
    """As in the manifest's counts, like `near_duplicates`."""
    reason: str
    kept_id: str | None = None
    """The interaction that stands for it, or that it came too near to."""


SPOKEN: dict[str, tuple[str, ...]] = {"preferences": ("chosen", "rejected"), "removed": ()}
"""The fields of a table's records that answer `messages`; `response` where none are named here."""
KINDS: dict[str, type[Record]] = {"preferences": PreferencePair, "rated_answers": RatedAnswer, "removed": Removed}
"""The records of a table; examples where none are named here."""
COLUMNS = {
    "examples": (
        *("interaction_id", "messages", "conversation", "score", "score_source", "split", "group", "intent", "cluster"),
        *("generation", "duplicates", "reason"),
    ),
    "preferences": (
        *("interaction_id", "rejected_id", "prompt", "chosen", "rejected", "conversation", "source", "split", "group"),
    ),
    "rated_answers": ("interaction_id", "prompt", "completion", "label", "conversation", "source", "split", "group"),
    "removed": ("interaction_id", "stage", "reason", "kept_id"),
}
COLUMNS["control"] = COLUMNS["examples"]
CHATS = {"messages", "prompt", "chosen", "rejected", "completion"}
RENAMED = {"desirable": "label"}
"""Field to column, where trainers have a name of their own for it."""


def place(record: Any) -> tuple[str, str]:
    """Where a record stands among its like: by interaction id, and then by what else tells it apart."""
    rest = getattr(record, "rejected_id", None) or getattr(record, "desirable", "")
    return record.interaction_id, f"{rest}"


def sides_of(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """The rows of each of a table's two files, by the ending of its name."""
    aside = [getattr(row, "split", None) == "validation" for row in rows]
    return {
        "": [row for row, apart in zip(rows, aside, strict=True) if not apart],
        VALIDATION: [row for row, apart in zip(rows, aside, strict=True) if apart],
    }


def _answers(record: Any) -> list[Message]:
    names = ("chosen", "rejected") if isinstance(record, PreferencePair) else ("response",)
    return [getattr(record, name) for name in names if hasattr(record, name)]


def _plain(record: Record) -> dict[str, Any]:
    """The fields of a record that hold no conversation, as a file of UTF-8 can hold them."""
    fields = record.model_dump(exclude={"messages", "response", "chosen", "rejected"})
    return {RENAMED.get(name, name): _held(value) for name, value in fields.items()}


def _held(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_held(one) for one in value]
    return _storable(value) if isinstance(value, str) else value


def _conversation(record: Any) -> list[dict[str, Any]]:
    return [message.to_openai() for message in (*getattr(record, "messages", ()), *_answers(record))]


def _row(record: Any) -> dict[str, Any]:
    """A record as a row; for trainers in the conversational forms of TRL, and whole as JSON in `conversation`."""
    answers, row = _answers(record), _plain(record)
    if not answers:
        return row
    # Unknown fields and images do not fit two columns; the conversation itself is kept as JSON beside them, in ASCII, which
    # carries whatever was captured.
    row["conversation"] = json.dumps(_conversation(record), sort_keys=True)
    said = [_chat(message) for message in record.messages]
    if isinstance(record, PreferencePair):
        return row | {"prompt": said, "chosen": [_chat(answers[0])], "rejected": [_chat(answers[1])]}
    if isinstance(record, RatedAnswer):
        return row | {"prompt": said, "completion": [_chat(answers[0])]}
    return row | {"messages": [*said, _chat(answers[0])]}


def _chat(message: Message) -> dict[str, str]:
    """A message as role and content; tool calls stand in the content, in the form that the product's own models write.

    A third column for them would be null in most messages, and the chat templates of Llama 3.1, DeepSeek and LFM take a null for
    a call.
    """
    calls = "".join(f"<tool_call>{_called(call)}</tool_call>" for call in message.tool_calls or ())
    return {"role": _storable(message.role), "content": _storable(message.text + calls)}


def _called(call: ToolCall) -> str:
    try:
        arguments = json.loads(call.function.arguments)
    except (ValueError, RecursionError):
        arguments = call.function.arguments
    return json.dumps({"name": call.function.name, "arguments": arguments}, ensure_ascii=False)


def _storable(text: str) -> str:
    """The text with half surrogate pairs, which no file of UTF-8 holds, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def fingerprint_of(
    task: str,
    config: dict[str, Any],
    examples: Iterable[Example],
    preferences: Iterable[PreferencePair] = (),
    rated_answers: Iterable[RatedAnswer] = (),
    control: Iterable[Example] = (),
) -> str:
    """SHA-256 over what would be learned and how it was chosen; clusters describe and do not decide, so they are left out."""
    digest = sha256(json.dumps({"format": FORMAT, "task": task, "config": config}, sort_keys=True).encode() + b"\n")
    tables = {"examples": examples, "preferences": preferences, "rated_answers": rated_answers, "control": control}
    for stem, rows in tables.items():
        digest.update(f"{stem}\n".encode())
        for record in sorted(rows, key=place):
            row = _plain(record)
            row.pop("cluster", None)
            digest.update(json.dumps({**row, "conversation": _conversation(record)}, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


# --- files -----------------------------------------------------------------------------------------------------------


def frame_of(stem: str, records: Sequence[Any]) -> "polars.DataFrame":
    """The rows of a table as a polars frame."""
    import polars  # the one door to frames

    chat = polars.List(polars.Struct({"role": polars.String, "content": polars.String}))
    others = {"score": polars.Float64, "cluster": polars.Int64, "generation": polars.Int64, "label": polars.Boolean}
    others |= {"duplicates": polars.List(polars.String), **dict.fromkeys(CHATS, chat)}
    schema = {column: others.get(column, polars.String) for column in COLUMNS[stem]}
    return polars.DataFrame([_row(record) for record in records], schema=schema, orient="row")


def read_rows(path: Path, stem: str, rows: int | None, verify: bool) -> list[Any]:
    """The records of one file.

    Args:
        path: the file.
        stem: the table it belongs to.
        rows: how many there should be; None where nobody counted.
        verify: whether the columns must be what the records give.

    Raises:
        StoreError: it is gone, damaged or changed.
    """
    import polars

    try:
        frame = polars.read_parquet(path)
    except (OSError, polars.exceptions.PolarsError) as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it, or build the dataset again") from error
    if rows is not None and frame.height != rows:
        raise StoreError(f"{path} holds {frame.height} rows, its manifest says {rows}; restore it, or build the dataset again")
    records = [_record(stem, row) for row in frame.iter_rows(named=True)]
    if verify and not frame.equals(frame_of(stem, sorted(records, key=place))):
        raise StoreError(f"{path} was changed after it was written; restore it, or delete the folder and build the dataset again")
    return records


def _record(stem: str, row: dict[str, Any]) -> Record:
    kind, answers = KINDS.get(stem, Example), SPOKEN.get(stem, ("response",))
    fields = {name: row[RENAMED.get(name, name)] for name in kind.model_fields if RENAMED.get(name, name) in row}
    if answers:
        spoken = [Message.model_validate(message) for message in json.loads(row["conversation"])]
        fields |= {"messages": tuple(spoken[: -len(answers)])} | dict(zip(answers, spoken[-len(answers) :], strict=True))
    return kind(**fields)


def settle(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file aside, have the disk keep it, and only then give it its name."""
    unfinished = path.with_name(path.name + ".part")
    write(unfinished)
    sync(unfinished)
    unfinished.replace(path)


def sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
