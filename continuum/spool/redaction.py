"""Personal data and secrets taken out of what is kept, before it is kept.

A redactor turns text into the same text with typed placeholders, like `[EMAIL]`, where something was found. `builtin` knows
patterns (`patterns.py`), `presidio` is an optional extra, and a package can bring its own under the entry point group
`continuum.redactors`. The version of the redactor is stored with each interaction.
"""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from continuum.errors import ConfigurationError

ENTRY_POINTS = "continuum.redactors"
BUILTIN = "builtin"
PRESIDIO = "presidio"

KEPT_FIELDS = {
    *("role", "type", "id", "call_id", "tool_call_id", "tool_use_id", "status", "format", "detail", "mime_type", "media_type"),
}
"""Fields of messages and of their parts that say what they are, not what was said. All others are read."""
FILE_FIELDS = {"data", "file_data", "b64_json"}
"""Fields whose text is the bytes of an image, a sound or another file."""
MAX_DEPTH = 60
"""Levels of parts in parts; what lies deeper is dropped, not kept unread."""


@runtime_checkable
class Redactor(Protocol):
    """Takes personal data out of text."""

    name: str
    version: str
    """Stored with what was redacted; another version means that the same text may come out differently."""

    def redact(self, text: str) -> str:
        """The text with placeholders where something was found; text that was redacted before comes back as it is."""
        ...


@lru_cache(maxsize=16)
def redactor_named(name: str) -> Redactor:
    """The redactor of this name: `builtin`, `presidio`, or one that an installed package registers.

    Raises:
        ConfigurationError: there is none of this name, or what a package registers is no redactor.
        MissingExtra: `presidio` is asked for and not installed.
    """
    if name == BUILTIN:
        from continuum.spool.patterns import PatternRedactor

        return PatternRedactor()
    if name == PRESIDIO:
        from continuum.spool.presidio import PresidioRedactor

        return PresidioRedactor()
    registered = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in registered:
        known = ", ".join([BUILTIN, PRESIDIO, *sorted(registered)])
        raise ConfigurationError(f"there is no redactor {name!r}; there are: {known}")
    try:
        loaded = registered[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the entry point {name!r} of {ENTRY_POINTS} cannot be loaded: {error}") from error
    redactor = loaded() if isinstance(loaded, type) else loaded
    if not isinstance(redactor, Redactor):
        raise ConfigurationError(
            f"the entry point {name!r} of {ENTRY_POINTS} gives a {type(redactor).__name__}; "
            "a redactor has a name, a version and a method redact(text)"
        )
    return redactor


def has_nothing(texts: Iterable[str], redactor: Redactor) -> bool:
    """Whether a redactor that can tell so quickly finds nothing in any of the texts; False where it cannot.

    JSON is never told quickly: what is written with escapes in it comes to light when it is read.
    """
    tell = getattr(redactor, "nothing_in", None)
    found = list(texts)
    return tell is not None and not any(looks_like_json(text) for text in found) and tell("\n".join(found))


def redact_message(message: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """A copy of a message in OpenAI form with its words redacted.

    Texts, refusals and text parts are redacted, and so are the arguments of tool calls, as the JSON they are. Names, ids, and the
    data of images, files and sound stay as they are.
    """
    return fields_redacted(message, redactor, 0)


def fields_redacted(fields: dict[str, Any], redactor: Redactor, depth: int) -> dict[str, Any]:
    """A message, a part of one, or a tool call, with everything redacted that is not an id, a kind or a function's name."""
    redacted = {}
    for key, value in fields.items():
        kept = key in KEPT_FIELDS or (isinstance(value, str) and (key == "name" or key in FILE_FIELDS or value[:5] == "data:"))
        redacted[key] = value if kept else words_redacted(value, redactor, depth)
    return redacted


def words_redacted(value: Any, redactor: Redactor, depth: int) -> Any:
    """The value of a field that holds words: text, or a list of parts."""
    if isinstance(value, str):
        return json_redacted(value, redactor) if looks_like_json(value) else redactor.redact(value)
    return parts_redacted(value, redactor, depth)


def parts_redacted(value: Any, redactor: Redactor, depth: int) -> Any:
    """The value of a field that holds parts: an object, or a list of objects and texts."""
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return fields_redacted(value, redactor, depth + 1)
    if isinstance(value, (list, tuple)):
        return [words_redacted(item, redactor, depth + 1) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        found = redactor.redact(str(value))
        return value if found == str(value) else found
    return value


def looks_like_json(text: str) -> bool:
    """Whether text may be a JSON object or array."""
    return text[:1] in "{[ \n\t\r" and text.strip()[:1] in ("{", "[") and text.rstrip()[-1:] in ("}", "]")


def json_redacted(text: str, redactor: Redactor) -> str:
    """JSON text with its values redacted; as it was where nothing was found, and redacted as plain text where it is not JSON."""
    try:
        value = json.loads(text)
        found = value_redacted(value, "", redactor.redact)
        return text if found == value else json.dumps(found, ensure_ascii=False)
    except (ValueError, RecursionError):
        return redactor.redact(text)


def value_redacted(value: Any, name: str, redact: Callable[[str], str]) -> Any:
    """A JSON value; its name is shown to the redactor with it, because `phone` says what a bare number is."""
    if isinstance(value, dict):
        return {redact(key): value_redacted(item, f"{name} {key}".strip(), redact) for key, item in value.items()}
    if isinstance(value, list):
        return [value_redacted(item, name, redact) for item in value]
    if isinstance(value, str):
        return in_context(value, name, '"', redact)
    if isinstance(value, int) and not isinstance(value, bool):
        found = in_context(str(value), name, "", redact)
        return value if found == str(value) else found
    return value


def in_context(text: str, name: str, quote: str, redact: Callable[[str], str]) -> str:
    """The text, redacted behind the last two names on the way to it, as it stands in JSON."""
    before = f'"{" ".join(name.split()[-2:])[-80:]}": {quote}'
    found = redact(before + text + quote)
    whole = found.startswith(before) and found.endswith(quote) and len(found) >= len(before) + len(quote)
    return found[len(before) : len(found) - len(quote)] if whole else redact(text)
