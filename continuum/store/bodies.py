"""Bodies: what was said, stored once however often it was said.

The messages and the response of an interaction are one row of `bodies` under the hash of their canonical JSON; calls that
repeat each other word for word share it, and each keeps a row of its own for all that differs.
"""

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, select, text

from continuum.records import Interaction, Message
from continuum.store.rows import in_batches
from continuum.store.tables import bodies, interactions

HASH_BYTES = 16


class Body(NamedTuple):
    """A row of `bodies`; the JSON is text already."""

    hash: bytes
    messages: str
    response: str


def body_of(interaction: Interaction) -> Body:
    """What an interaction says, with its hash: BLAKE2b (RFC 7693) of 128 bits over the canonical JSON."""
    try:
        messages = canonical_json([plain_message(message) for message in interaction.messages])
        response = b"null" if interaction.response is None else canonical_json(plain_message(interaction.response))
    except TypeError:
        # Numbers of more than 64 bits, and values that pydantic knows how to write and orjson does not.
        messages = json_text([written_message(message) for message in interaction.messages])
        response = b"null" if interaction.response is None else json_text(written_message(interaction.response))
    return Body(body_hash(messages, response), messages.decode(), response.decode())


def body_hash(messages: bytes, response: bytes) -> bytes:
    """The name of a body; a line break stands in no canonical JSON, so the two parts cannot be mistaken for each other."""
    return blake2b(b"%b\n%b" % (messages, response), digest_size=HASH_BYTES).digest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spare space; equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def json_text(value: Any) -> bytes:
    """The same from the standard library, which is slower and takes numbers of any size."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def plain_message(message: Message) -> dict[str, Any]:
    """A message as plain JSON, without the fields of its class that are empty; read back it is the same message."""
    if message.tool_calls is not None or message.__pydantic_extra__:
        return written_message(message)
    plain: dict[str, Any] = {"role": message.role}
    if message.content is not None:
        plain["content"] = message.content
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    return plain


def written_message(message: Message) -> dict[str, Any]:
    """The same as pydantic writes it, whatever the fields hold that only the provider knows."""
    extra = message.__pydantic_extra__ or {}
    fields = message.model_dump(mode="json")
    return {name: value for name, value in fields.items() if value is not None or name in extra}


def keep_bodies_still(connection: Connection) -> None:
    """Hold off, until the transaction ends, whoever might refer to a body that is about to be deleted.

    A writer finds a body that is there already and refers to it; on SQLite the one write lock keeps it out, on Postgres
    this does: writers insert their bodies first.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE bodies IN SHARE ROW EXCLUSIVE MODE"))


def delete_unused(connection: Connection, hashes: Iterable[bytes]) -> None:
    """Delete those of the bodies that no interaction refers to; after `keep_bodies_still`."""
    used = select(interactions.c.body).where(interactions.c.body == bodies.c.hash).exists()
    for batch in in_batches(hashes):
        connection.execute(delete(bodies).where(bodies.c.hash.in_(batch), ~used))
