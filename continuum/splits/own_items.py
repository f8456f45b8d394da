"""Golden items that somebody brings: JSON lines, read strictly, one item a line.

    {"question": "Where is my order?", "reference": "In your account, under Orders.", "slice": "orders"}
    {"messages": [{"role": "user", "content": "Are you human?"}], "kind": "alignment", "checker": {"not_human": true}}

`question` or `messages` is needed; `reference`, `slice`, `kind`, `checker`, `group` and `asked_at` may be left out. A line that
cannot be one is refused by its number and the others are kept.
"""

import json
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.records import Message
from continuum.similarity.normalise import INSTRUCTIONS, canonical
from continuum.splits.checkers import Checker
from continuum.splits.golden_items import OWN, GoldenItem, own_id
from continuum.strict import explained
from continuum.timespan import utc_now

LONGEST_LINE = 1_000_000
"""Bytes; a line that is longer is refused."""
LONGEST_WORDS = 100_000
"""Characters of an item's messages and reference together, as JSON: 25,000 tokens of English. Beyond it most models tuned here
read only a part, and every candidate would be asked another question than the file says, at a judge's full price."""
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""A question was asked after this: 1970 is what an unknown time becomes in many programs, and the year 1 in others."""
AHEAD = timedelta(days=1)
"""How far ahead of this machine's clock a question may have been asked: as far as clocks and time zones that are wrong go.
What is dated later would make the set look fresh for as long."""
LONGEST_NAME = 200
"""Characters of a slice's or a group's name."""
FIELDS = frozenset({"question", "messages", "reference", "slice", "kind", "checker", "group", "asked_at"})
NAMED = 3
"""Refused lines that an error names."""


@dataclass(frozen=True)
class Refused:
    """A line that is no golden item."""

    place: str
    """Like `items.jsonl line 3`."""
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class ReadItems:
    """What was read: the items by id, and the lines that were refused."""

    items: tuple[GoldenItem, ...]
    places: dict[str, str]
    """Item id to where it stands, in the order of the lines."""
    refused: tuple[Refused, ...]


def read_items(source: "str | Path | Iterable[Mapping[str, Any]]", *, now: Callable[[], datetime] = utc_now) -> ReadItems:
    """Read golden items from a JSONL file, a folder of such files, or mappings.

    Args:
        source: where they are; of a folder all files that end in .jsonl, in the order of their names.
        now: the clock; nothing can have been asked later.

    Raises:
        ConfigurationError: there is no such file, or not one line is a golden item.
    """
    items: dict[str, GoldenItem] = {}
    places: dict[str, str] = {}
    refused: list[Refused] = []
    for place, line in _lines(source):
        try:
            item = _item(line, now())
            if item.interaction_id in places:
                raise ConfigurationError(f"the same question stands in {places[item.interaction_id]}")
        except ValidationError as error:
            refused.append(Refused(place, excerpt(explained(error), 300)))
        except (ConfigurationError, UnicodeError) as error:
            refused.append(Refused(place, excerpt(str(error), 300)))
        else:
            items[item.interaction_id], places[item.interaction_id] = item, place
    if not items:
        told = "; ".join(map(str, refused[:NAMED])) or "there is no line at all"
        raise ConfigurationError(
            f'no golden item could be read: {told}. A line looks like {{"question": "...", "reference": "..."}}'
        )
    return ReadItems(tuple(items[one] for one in sorted(items)), places, tuple(refused))


def _lines(source: "str | Path | Iterable[Mapping[str, Any]]") -> Iterator[tuple[str, "bytes | Mapping[str, Any]"]]:
    if not isinstance(source, (str, Path)):
        yield from ((f"item {number}", line) for number, line in enumerate(source, start=1))
        return
    for file in _files(Path(source)):
        try:
            with file.open("rb") as lines:
                # One byte more than a line may have is read of each, so that no line fills the memory.
                for number, line in enumerate(_bounded(lines), start=1):
                    if line.strip():
                        yield f"{file.name} line {number}", line
        except OSError as error:
            raise ConfigurationError(
                f"{file} cannot be read ({error}); name a JSONL file of golden items, or a folder"
            ) from error


def _files(path: Path) -> list[Path]:
    """The file, or those of the folder; a pipe is read where it is named, a device never is, for it may have no end."""
    try:
        kind = path.stat().st_mode
        # The names are listed: what globs a folder that cannot be read finds nothing in it, without a word.
        names = sorted(path.iterdir()) if stat.S_ISDIR(kind) else []
        files = [one for one in names if one.suffix == ".jsonl" and one.is_file()]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); name a JSONL file of golden items, or a folder") from error
    if stat.S_ISREG(kind) or stat.S_ISFIFO(kind):
        return [path]
    if not stat.S_ISDIR(kind):
        raise ConfigurationError(f"{path} is neither a file nor a folder; name a JSONL file of golden items, or a folder")
    if not files:
        raise ConfigurationError(f"the folder {path} holds no file that ends in .jsonl; name a file with one golden item a line")
    return files


def _bounded(lines: Any) -> Iterator[bytes]:
    while line := lines.readline(LONGEST_LINE + 1):
        yield line
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = lines.readline(LONGEST_LINE + 1)
            if not line:
                return


def _item(line: Any, at: datetime) -> GoldenItem:
    fields = _parsed(line) if isinstance(line, bytes) else line
    if not isinstance(fields, Mapping):
        raise ConfigurationError("it is no object with fields")
    if unknown := sorted(str(name) for name in fields.keys() - FIELDS):
        raise ConfigurationError(f"it has no field {unknown[0]!r}; there are {', '.join(sorted(FIELDS))}")
    messages = _messages(fields)
    name = own_id(messages)
    group = _named(fields, "group")
    reference = _answer(fields.get("reference"))
    words = [message.to_openai() for message in (*messages, *([reference] if reference else []))]
    if (found := len(json.dumps(words, ensure_ascii=False))) > LONGEST_WORDS:
        raise ConfigurationError(
            f"its messages and its reference have {found:,} characters, at most {LONGEST_WORDS:,} are asked; shorten it"
        )
    item = GoldenItem(
        interaction_id=name,
        messages=messages,
        reference=reference,
        group=name if group is None else f"{OWN}{group}",
        slice=_named(fields, "slice"),
        kind=fields.get("kind", "task"),
        checker=None if fields.get("checker") is None else Checker.model_validate(fields["checker"]),
        asked_at=fields.get("asked_at"),
        confirmed=True,
    )
    if item.asked_at is not None and not EARLIEST <= item.asked_at <= at + AHEAD:
        raise ConfigurationError(
            f"its asked_at is {item.asked_at.isoformat()}; it must be between {EARLIEST:%Y} and now, or be left out"
        )
    return item


def _parsed(line: bytes) -> Any:
    if len(line) > LONGEST_LINE:
        raise ConfigurationError(f"it is longer than {LONGEST_LINE:,} bytes")
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"it is not JSON ({error})") from error


def _messages(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    question, messages = fields.get("question"), fields.get("messages")
    if (question is None) == (messages is None):
        raise ConfigurationError("it needs either a question or messages")
    if question is not None:
        if not isinstance(question, str):
            raise ConfigurationError("its question is no text")
        messages = [{"role": "user", "content": question}]
    if not isinstance(messages, list):
        raise ConfigurationError("its messages are no list")
    said = tuple(_message(one) for one in messages)
    spoken = [message for message in said if message.role not in INSTRUCTIONS]
    if not any(message.role == "user" and canonical(message.text) for message in spoken):
        raise ConfigurationError("nobody asks anything in it: a message of the user with words is needed")
    if spoken[-1].role == "assistant":
        raise ConfigurationError("its messages end with an answer; give what was asked, and the answer as reference")
    return said


def _answer(value: Any) -> Message | None:
    if value is None:
        return None
    answer = Message(role="assistant", content=value) if isinstance(value, str) else _message(value)
    if answer.role != "assistant" or not answer.action:
        raise ConfigurationError("its reference is no answer: a text, or a message of the assistant, is needed")
    return answer


def _message(value: Any) -> Message:
    if not isinstance(value, dict):
        raise ConfigurationError("a message in it is no object with a role and content")
    # What travels to other formats must be text that any of them can hold.
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return Message.model_validate(value)


def _named(fields: Mapping[str, Any], field: str) -> str | None:
    value = fields.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME or not value.isprintable():
        raise ConfigurationError(f"its {field} is no name of 1 to {LONGEST_NAME} visible characters")
    return value.strip()
