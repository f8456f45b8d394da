"""Copies of what an application hands over, taken in its own thread, so cheap as can be.

The application goes on changing its lists and dicts, so they are copied; text cannot change and is kept as it is. What is not
plain JSON, or too large, takes the slow way through a `Snapshot`. Nothing is cleaned here: the spool does that.
"""

import json
from typing import Any

from continuum.spool.cleaning import MAX_PAYLOAD, Snapshot, described
from continuum.spool.forms import messages_in

MAX_NODES = 20_000
"""Values kept of one payload; more would hold the application up."""
MAX_DEPTH = 40
PLAIN = {int, float, bool, type(None)}


class Odd(Exception):
    """This is not plain JSON, or too much of it."""


class Copier:
    """Copies plain JSON while the room lasts."""

    __slots__ = ("nodes", "room")

    def __init__(self) -> None:
        self.room = MAX_PAYLOAD
        self.nodes = MAX_NODES

    def copy(self, value: Any, depth: int = 0) -> Any:
        """A copy that shares nothing that can change.

        Raises:
            Odd: the value is not plain JSON, too deep, or too large.
        """
        kind = type(value)
        if kind is str:
            self.room -= len(value)
            if self.room < 0:
                raise Odd
            return value
        if kind in PLAIN:
            return value
        self.nodes -= len(value) if kind is dict or kind is list else MAX_NODES
        if self.nodes <= 0 or depth > MAX_DEPTH:
            raise Odd
        if kind is list:
            return [self.copy(item, depth + 1) for item in value]
        if not all(type(name) is str for name in value):
            raise Odd
        return {name: self.copy(item, depth + 1) for name, item in value.items()}


def conversation(value: Any) -> tuple[list[dict[str, Any]] | None, bool]:
    """A copy of a conversation in OpenAI form, and whether it was cut; None where the value is no such thing."""
    if type(value) is list and 0 < len(value) < MAX_NODES:
        try:
            return plain_messages(value), False
        except (Odd, RuntimeError):  # the latter where another thread changes it at this moment
            pass
    snapshot = Snapshot(nodes=MAX_NODES)
    return messages_in(value, snapshot), snapshot.truncated


def plain_conversation(value: list[Any]) -> list[dict[str, Any]] | None:
    """A copy of messages that hold nothing but text, as most do, at the least price; None for any others."""
    copies, room = [], MAX_PAYLOAD
    try:
        for message in value:
            if type(message) is not dict or type(role := message.get("role")) is not str or not role:
                return None
            for part in message.values():
                if type(part) is str:
                    room -= len(part)
                elif part is not None:
                    return None
            copies.append(message.copy())
    except RuntimeError:  # another thread changes it at this moment
        return None
    return copies if copies and room >= 0 and len(copies) < MAX_NODES else None


def plain_messages(value: list[Any]) -> list[dict[str, Any]]:
    """A copy of messages that are plain JSON.

    Raises:
        Odd: one of them is not, or they are too large.
    """
    copies, copier = [], Copier()
    for message in value:
        if type(message) is not dict or type(role := message.get("role")) is not str or not role:
            raise Odd
        copy, size = message.copy(), 0
        for part in copy.values():
            if type(part) is str:
                size += len(part)
            elif part is not None:
                copy, size = copier.copy(message), 0
                break
        copier.room -= size
        copies.append(copy)
    if copier.room < 0:
        raise Odd
    return copies


def words_of(value: Any) -> tuple[str, bool]:
    """A value as text, and whether it was cut: bytes decoded, data as JSON, anything else by its `repr`."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value[:MAX_PAYLOAD]).decode(errors="replace"), len(value) > MAX_PAYLOAD
    snapshot = Snapshot(nodes=MAX_NODES)
    try:
        content = snapshot.take(value)
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = described(value)
    return text[:MAX_PAYLOAD], snapshot.truncated or len(text) > MAX_PAYLOAD
