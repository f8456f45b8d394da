"""The plain form: one interaction a line, with the fields of the record and what people said of it.

    {"id", "task", "conversation_id", "started_at", "model", "messages", "response", "feedback": {"score", "label"}}

Every other format is read into this one, so that all rows pass the same checks.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.records import Message
from continuum.signals.formats.found import Found, Item
from continuum.signals.formats.lines import Line
from continuum.signals.formats.values import EPOCH, an_object
from continuum.spool.cleaning import MAX_ID
from continuum.spool.forms import MAX_TOKENS

END_YEAR = 9890
"""A moment is kept in nanoseconds since 1970, up to about here."""
USER_HASH = re.compile("u_[0-9a-f]{32}")

JSON_WORDS = {
    **dict.fromkeys(("tuple_type", "list_type"), "should be a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "should be an object"),
    **dict.fromkeys(("int_type", "int_from_float"), "should be a whole number"),
    **dict.fromkeys(("float_type", "finite_number"), "should be a number"),
    "bool_type": "should be true or false",
    "string_type": "should be a string",
    "too_short": "should not be empty",
}
"""What pydantic finds, in the words of the file's format where its own are Python's."""
FORMS = frozenset({"str", "list[dict[str,any]]", "single", "several"})
"""Names that pydantic gives to the forms that a field may have; they are no part of the file."""
REASON_LENGTH = 300

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
Words = Annotated[str, Field(min_length=1)]
Tokens = Annotated[int, Field(ge=0, le=MAX_TOKENS, strict=True)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


def moment(value: Any) -> Any:
    """A time in a file is text; readers of other formats bring it as what it is."""
    if value is not None and not isinstance(value, (str, datetime)):
        raise ValueError("a time must be written like 2026-03-01T12:00:00Z")
    return value


def in_utc(value: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    if value is None:
        return None
    try:
        found = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:
        found = None
    if found is None or not EPOCH.year <= found.year < END_YEAR:
        raise ValueError(f"a time must be of a year from {EPOCH.year} to {END_YEAR - 1}")
    return found


def a_user_hash(value: str | None) -> str | None:
    """The hash that stands for a user here."""
    if value is not None and not USER_HASH.fullmatch(value):
        raise ValueError("it is no hash that Continuum made; give the user's own id as user_id")
    return value


class ImportedFeedback(BaseModel):
    """What was said of a row."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: Id | None = None
    kind: Literal["explicit", "implicit"] = "explicit"
    score: float | None = Field(default=None, ge=1, le=5)
    label: Words | None = None
    comment: Words | None = None
    correction: Words | None = None
    confidence: float = Field(default=1.0, ge=0, le=1)
    trusted: bool = False
    user_id: Id | None = None
    user_hash: str | None = None
    recorded_at: Annotated[datetime | None, Field(strict=False)] = None
    idempotency_key: Id | None = None

    _written_out = field_validator("recorded_at", mode="before")(moment)
    _in_utc = field_validator("recorded_at")(in_utc)
    _hashed = field_validator("user_hash")(a_user_hash)

    @model_validator(mode="after")
    def _says_something(self) -> "ImportedFeedback":
        if self.score is None and not any((self.label, self.comment, self.correction)):
            raise ValueError("it holds none of score, label, comment and correction")
        return self

    def draft(self, interaction_id: str, key: str, began: datetime, redact: str | None) -> dict[str, Any]:
        """The feedback as it goes into the store, known by its own key or else by this one."""
        said = self.model_dump(exclude_none=True)
        return {
            "interaction_id": interaction_id,
            "recorded_at": began,
            "idempotency_key": f"import:{key}"[:MAX_ID],
            "redact": redact,
            **said,
        }


class ImportedRow(BaseModel):
    """One interaction of a file."""

    model_config = ConfigDict(frozen=True)

    id: Id
    task: str
    conversation_id: Id | None = None
    user_id: Id | None = None
    user_hash: str | None = None
    parent_id: Id | None = None
    provider_response_id: Id | None = None
    started_at: datetime | None = None
    latency_ms: Amount | None = None
    time_to_first_chunk_ms: Amount | None = None
    model: Annotated[str, Field(max_length=MAX_ID)] | None = None
    status: Literal["ok", "error", "cancelled"] = "ok"
    error: str | None = None
    messages: tuple[Message, ...] = Field(min_length=1)
    response: Message | None = Field(default=None, validate_default=True)
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    cost_usd: Amount | None = None
    deployment_id: Id | None = None
    variant: Id | None = None
    tags: dict[str, str] = {}
    feedback: tuple[ImportedFeedback, ...] = ()

    _written_out = field_validator("started_at", mode="before")(moment)
    _in_utc = field_validator("started_at")(in_utc)
    _hashed = field_validator("user_hash")(a_user_hash)

    @field_validator("task")
    @classmethod
    def _names_a_task(cls, value: str) -> str:
        try:
            return checked_task_name(value)
        except ConfigurationError:
            raise ValueError("a task's name is 1 to 100 letters, digits, '_', '-' or '.', not starting with a dot") from None

    @field_validator("response")
    @classmethod
    def _answers(cls, value: Message | None, info: ValidationInfo) -> Message | None:
        if value is None:
            if info.data.get("status", "ok") == "ok":
                raise ValueError("Field required")
        elif value.content is None and not value.tool_calls and not (value.model_extra or {}).get("refusal"):
            raise ValueError("it has neither content nor tool calls")
        return value

    @field_validator("feedback", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return () if value is None else value if isinstance(value, (list, tuple)) else [value]

    def began(self, imported_at: datetime) -> datetime:
        """When it began; a row without a time began when it was imported."""
        return self.started_at or imported_at

    def draft(self, imported_at: datetime, redact: str | None) -> dict[str, Any]:
        """The row as a draft; where it says what was paid, even that nobody knows, it is not priced anew."""
        plain = self.model_dump(exclude={"started_at", "messages", "response", "feedback"}, exclude_none=True)
        draft = plain | {
            "started_ns": nanoseconds(self.began(imported_at)),
            "messages": [message.model_dump(exclude_unset=True) for message in self.messages],
            "source": "import",
            "redact": redact,
        }
        if self.response is not None:
            draft["response"] = self.response.model_dump(exclude_unset=True)
        if "cost_usd" not in self.model_fields_set:
            counted = {name: getattr(self, name) for name in ("model", "input_tokens", "output_tokens", "cached_tokens")}
            draft["paid"] = [{**counted, "base_url": None}]
        return draft

    def said(self, imported_at: datetime, redact: str | None) -> list[dict[str, Any]]:
        """What was said of it; dated with the row where it has no date of its own, so that whatever is said later is newer."""
        began = self.began(imported_at)
        keys = [self.id if index == 0 else f"{self.id}:{index}" for index in range(len(self.feedback))]
        return [one.draft(self.id, key, began, redact) for one, key in zip(self.feedback, keys, strict=True)]


class PlainReader:
    """Reads the plain form."""

    def items(self, record: Line) -> Iterator[Item]:
        """The row that a record is."""
        yield Found(an_object(record.content, "the line"), record.path)


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def explained(error: ValidationError) -> str:
    """What is wrong with a row, in one line without the row's content."""
    found: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_input=False):
        # The name of a tag is the row's own, and not shown.
        loc = one["loc"][:1] if one["loc"][:1] == ("tags",) else one["loc"]
        place = ".".join(str(part) for part in loc if part not in FORMS)
        words = JSON_WORDS.get(one["type"]) or one["msg"].removeprefix("Value error, ").removeprefix("Input ")
        found.setdefault(place, []).append(words)
    return "; ".join(f"{place}: {' or '.join(words)}" for place, words in found.items())[:REASON_LENGTH]
