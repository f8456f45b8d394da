"""Values from outside made fit to keep: whatever an application or a file hands over becomes plain JSON that every store takes.

Postgres refuses NUL in text, UTF-8 refuses lone surrogates, JSON refuses NaN, and an object's `repr` may be anything.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

MAX_PAYLOAD = 1_000_000
"""Characters of text kept of one payload; what goes beyond is cut and marked."""
MAX_DEPTH = 50
MAX_NODES = 100_000

MAX_ID = 500
"""Characters of an id; Postgres cannot index much longer ones."""

SECRET = re.compile(
    r"(^|[^a-z])(api[^a-z]?key|key|token|secret|password|passwd|pwd|credentials?|authorization|auth)([^a-z]|$)", re.IGNORECASE
)
WORD_IN_CAMEL_CASE = re.compile("(?<=[a-z0-9])(?=[A-Z])")

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str, limit: int | None = None) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD, cut to `limit` characters where one is given."""
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 1)] + "…"
    return text if is_storable(text) else UNSTORABLE.sub("\ufffd", text)


def is_storable(text: str) -> bool:
    """Whether text can be kept as it is; a hundred times as fast as a search by the pattern."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def names_secret(name: str) -> bool:
    """Whether what has this name may be a secret: `api_key`, `accessToken`, `X-Api-Key`."""
    return SECRET.search(WORD_IN_CAMEL_CASE.sub("_", name)) is not None


def id_text(value: Any) -> str | None:
    """An id as text that every store can hold and index; None for None and for empty text."""
    return None if value is None else clean_text(value if isinstance(value, str) else represented(value, str), MAX_ID) or None


def described(value: Any, limit: int = 200, *, secrets: bool = True) -> str:
    """A value as short text: strings as they are, data as JSON, anything else by its `repr`.

    Without `secrets`, what is named like one is left out of data, however deep it lies.
    """
    if isinstance(value, str):
        return clean_text(value, limit)
    if isinstance(value, (bytes, bytearray)):
        return clean_text(bytes(value[:limit]).decode(errors="replace"), limit)
    try:
        content = Snapshot(limit * 4, nodes=limit, secrets=secrets).take(value)
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = represented(value) if secrets else f"<{type(value).__name__}>"
    return clean_text(text, limit)


def represented(value: Any, form: Callable[[Any], str] = repr) -> str:
    """The `repr`, or the `str`, of an object, or its type where even that fails."""
    try:
        return form(value)
    except Exception:  # noqa: BLE001  the application's own code runs here, and may do anything
        return f"<{type(value).__name__} without a {form.__name__}>"


class Snapshot:
    """Copies values into plain JSON while its budgets of characters and of nodes last.

    The copy shares nothing with the original, which the application goes on changing. Without `secrets`, the fields of
    mappings and dataclasses that are named like one are left out.
    """

    def __init__(self, budget: int = MAX_PAYLOAD, nodes: int = MAX_NODES, *, secrets: bool = True) -> None:
        self.left = budget
        self.nodes = nodes
        self.secrets = secrets
        self.truncated = False

    def take(self, value: Any, depth: int = 0) -> Any:
        """The value as plain JSON: strings cleaned and cut, NaN and infinities as None, unknown objects by their `repr`."""
        self.nodes -= 1
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if value.bit_length() < 64 else hex(value) if value.bit_length() < 4096 else "a huge number"
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if depth > MAX_DEPTH:
            self.truncated = True
            return "…"
        if isinstance(value, Mapping):
            named = ((represented(key, str), key) for key in self.within(value))
            return {
                self.text(name): self.take(value[key], depth + 1) for name, key in named if self.secrets or not names_secret(name)
            }
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.take(item, depth + 1) for item in self.within(value)]
        if not self.secrets and is_dataclass(type(value)):
            return self.take({field.name: getattr(value, field.name, None) for field in fields(value)}, depth + 1)
        if callable(getattr(type(value), "model_dump", None)):
            return self.take(value.model_dump(mode="json", exclude_none=True, warnings=False), depth + 1)
        return self.text(bytes(value[: self.left]).decode(errors="replace") if isinstance(value, bytes) else represented(value))

    def within(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, as far as the budget of nodes goes."""
        for item in items:
            if self.nodes <= 0:
                self.truncated = True
                return
            yield item

    def text(self, text: str) -> str:
        """The text, cleaned, cut to what is left of the budget."""
        if len(text) > self.left:
            self.truncated = True
            text = text[: self.left] + "…"
        self.left = max(0, self.left - len(text))
        return clean_text(text)


def cleaned(draft: Mapping[str, Any]) -> dict[str, Any]:
    """A draft that JSON or a database would refuse, made fit: surrogates and NUL replaced, odd objects by their `repr`."""
    snapshots = {name: Snapshot(4 * MAX_PAYLOAD if name == "messages" else MAX_PAYLOAD) for name in draft}
    fields = {clean_text(str(name)): snapshots[name].take(value) for name, value in draft.items()}
    if any(snapshot.truncated for snapshot in snapshots.values()):
        fields["tags"] = {**(fields.get("tags") or {}), "truncated": "true"}
    return fields
