"""From what was captured to the record that is stored: cleaned, priced, redacted, fingerprinted.

A draft is a plain dict with the fields of an `Interaction`, and beside them:

| key | meaning |
|---|---|
| `started_ns` | nanoseconds since 1970, instead of `started_at` |
| `paid` | the model calls that were paid for: `model`, `base_url`, `input_tokens`, `output_tokens`, `cached_tokens` |
| `redact` | name of the redactor that takes personal data out here; absent where none shall, or one already did |
| `user_hash` | the user's keyed hash, instead of `user_id`, where it was made before |
| `trace` | `trace_id` and `span_id` of the OpenTelemetry span that the call ran in |

What becomes of it does not depend on who does it when: the next process does it for one that was killed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from continuum.records import Feedback, Interaction
from continuum.spool.cleaning import id_text
from continuum.spool.redaction import has_nothing, redact_message, redactor_named
from continuum.spool.users import hashed_user, user_key
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.spool.redaction import Redactor

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_NS = 250_000_000_000 * 10**9
"""About the year 9892; a clock that says more is broken."""

AS_THEY_ARE = (
    *("id", "task", "status", "latency_ms", "time_to_first_chunk_ms", "source"),
    *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
)
LONGEST_WORD = 64
NEAR_THE_CUT = 200
"""Characters before a cut that are looked at."""
PLAIN_MESSAGE = {"role", "content"}
NOTHING_SAID = {"content": ""}
IDS = ("model", "conversation_id", "parent_id", "provider_response_id", "deployment_id", "variant")


def finish(draft: Mapping[str, Any]) -> Interaction:
    """The interaction that a draft becomes.

    Raises:
        ValueError: the draft is none.
        ConfigurationError: the redactor it asks for is not known here.
        MissingExtra: the redactor it asks for is not installed here.
    """
    return finish_all([draft])[0]


def finish_all(drafts: Sequence[Mapping[str, Any]]) -> list[Interaction]:
    """The interactions that drafts become; their fingerprints are made in one go.

    Raises:
        ValueError, ConfigurationError, MissingExtra: as `finish`, for any of them.
    """
    from continuum.similarity.simhash import fingerprints  # numpy starts here

    key = user_key()
    rows = [fields_of(draft, key) for draft in drafts]
    for row, fingerprint in zip(rows, fingerprints([words_of(row) for row in rows]), strict=True):
        row["fingerprint"] = fingerprint
    return [Interaction.model_validate(row) for row in rows]


def fields_of(draft: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    """The interaction's fields, without its fingerprint."""
    promised = redactor_of(draft)
    redactor = None if promised is None or is_clean(draft, promised) else promised
    row = {name: draft[name] for name in AS_THEY_ARE if draft.get(name) is not None}
    row |= {name: id_text(draft[name]) for name in IDS if draft.get(name) is not None}
    row["started_at"] = time_of(draft.get("started_ns"))
    row["messages"] = [redacted(message, redactor) for message in draft.get("messages") or ()]
    if draft.get("response") is not None:
        row["response"] = redacted(draft["response"], redactor)
    if draft.get("error") is not None:
        row["error"] = words(draft["error"], redactor) if redactor else draft["error"]
    tags = draft.get("tags") or {}
    row["tags"] = {words(name, redactor): words(value, redactor) for name, value in tags.items()} if redactor else dict(tags)
    if draft.get("trace"):
        row["tags"] |= draft["trace"]
    row["user_id"] = user_of(draft, key)
    row["cost_usd"] = cost_of(draft.get("paid") or ()) if draft.get("cost_usd") is None else draft["cost_usd"]
    row["redaction"] = promised.version if promised else draft.get("redaction")
    return row


def finish_feedback(draft: Mapping[str, Any]) -> Feedback:
    """The feedback that a draft becomes: a `Feedback` as JSON, with `redact` beside its fields.

    Raises:
        ValueError, ConfigurationError, MissingExtra: as `finish`.
    """
    redactor = redactor_of(draft)
    fields = {name: value for name, value in draft.items() if name not in {"redact", "redaction", "user_hash"}}
    for name in ("comment", "correction", "label"):
        if redactor and fields.get(name):
            fields[name] = redactor.redact(fields[name])
    return Feedback.model_validate(fields | {"user_id": user_of(draft, user_key())})


def redactor_of(draft: Mapping[str, Any]) -> "Redactor | None":
    """Who takes personal data out of the draft."""
    name = draft.get("redact")
    return redactor_named(name) if name else None


def is_clean(draft: Mapping[str, Any], redactor: "Redactor") -> bool:
    """Whether nothing in the draft is to be taken out, as far as that shows at a glance: in plain messages, most of all."""
    tags = draft.get("tags") or {}
    texts = [draft.get("error") or "", *tags, *tags.values()]
    for message in (*(draft.get("messages") or ()), draft.get("response") or NOTHING_SAID):
        if message.keys() - PLAIN_MESSAGE or not isinstance(message["content"], str):
            return False
        texts.append(message["content"])
    return has_nothing(texts, redactor)


def words(text: str, redactor: "Redactor") -> str:
    """Text without personal data. Where it was cut, what stands at the cut goes as well: half a number is not known as one."""
    return redactor.redact(short_of_the_cut(text))


def short_of_the_cut(text: str) -> str:
    """The text without its last word, and the words with digits before that, where it was cut."""
    if not text.endswith("…"):
        return text
    *words, last = text[-NEAR_THE_CUT:].split(" ")
    if len(last) > LONGEST_WORD and last[:-1].isalpha():
        return text  # no word of people, and no number
    while words and any(sign.isdigit() or sign == "@" for sign in words[-1]):
        words.pop()
    return f"{text[:-NEAR_THE_CUT]}{' '.join(words)}…"


def redacted(message: Mapping[str, Any], redactor: "Redactor | None") -> dict[str, Any]:
    """A message without personal data."""
    if not redactor:
        return dict(message)
    content = message.get("content")
    if isinstance(content, str) and content.endswith("…"):
        message = {**message, "content": short_of_the_cut(content)}
    return redact_message(dict(message), redactor)


def user_of(draft: Mapping[str, Any], key: bytes) -> str | None:
    """What stands for the user."""
    if draft.get("user_hash"):
        return id_text(draft["user_hash"])
    name = id_text(draft.get("user_id"))
    return None if name is None else hashed_user(name, key)


def time_of(nanoseconds: Any) -> datetime:
    """A moment, to the microsecond; now where the draft has none that a calendar knows."""
    if not isinstance(nanoseconds, int) or not 0 <= nanoseconds <= LAST_NS:
        return utc_now()
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


def words_of(row: Mapping[str, Any]) -> str:
    """What the fingerprint is of: the last words asked and the answer. The turns of one conversation share what went before."""
    asked = next((text for message in reversed(row["messages"]) if (text := text_of(message))), "")
    return f"{asked}\n{text_of(row.get('response'))}"


def text_of(message: Mapping[str, Any] | None) -> str:
    """The words of a message, or what its tool calls do."""
    if message is None:
        return ""
    content = message.get("content")
    if isinstance(content, str) and content:
        return content
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    calls = message.get("tool_calls") or ()
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    return "\n".join(
        f"{function.get('name')} {function.get('arguments')}" for function in functions if isinstance(function, dict)
    )


def cost_of(paid: Sequence[Mapping[str, Any]]) -> float | None:
    """US dollars of all model calls; None where one of them has no known price."""
    total: float | None = None
    for call in paid:
        model, read, written = call.get("model"), call.get("input_tokens"), call.get("output_tokens")
        if model is None or read is None or written is None:
            continue
        price = price_of(model, read, written, call.get("cached_tokens") or 0, call.get("base_url"))
        if price is None:
            return None
        total = (total or 0.0) + price
    return total


@lru_cache(maxsize=4096)
def price_of(model: str, read: int, written: int, cached: int, base_url: str | None) -> float | None:
    """US dollars of one call."""
    from continuum.models.chat import Usage
    from continuum.models.pricing import price_usd  # its table of prices is loaded at the first call

    return price_usd(model, Usage(read, written, cached), base_url)


def redacted_now(draft: dict[str, Any], name: str) -> dict[str, Any]:
    """The draft without personal data and with the user's hash.

    Raises:
        ConfigurationError: there is no redactor of this name.
        MissingExtra: it is not installed.
    """
    row = fields_of(draft | {"redact": name, "paid": ()}, user_key())
    redacted = {key: row[key] for key in ("messages", "response", "error", "tags", "redaction") if key in row}
    rest = {key: value for key, value in draft.items() if key not in {"user_id", "redact", "trace"}}
    return rest | redacted | {"user_hash": row["user_id"]}
