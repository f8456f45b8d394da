"""What judges said, by content: a cache that all processes share, and the claim on what is being judged.

A row without a status is a claim: its worker is asking, and the others wait or look elsewhere. When the worker dies, the claim
goes with it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Connection, Engine, bindparam, delete, func, select, update

from continuum.records import Message
from continuum.store.accounts import BATCH
from continuum.store.bodies import canonical_json, json_text, plain_message, written_message
from continuum.store.judging_tables import judgements
from continuum.store.rows import Rows, in_batches, inserting


@dataclass(frozen=True)
class Content:
    """A content that a judge is asked about."""

    key: str
    """Hash of all that the judgement depends on, the judge among it."""
    conversation: str
    """`conversation_hash` of the messages before the answer."""
    judge: str
    """The judge's name."""


@dataclass(frozen=True)
class Claim:
    """What came of asking for the right to judge a content."""

    mine: bool
    """Nobody has judged it and nobody else is at it: the caller is the one to ask."""
    judgement: dict[str, Any] | None = None
    """What was said of it before; None too while another worker is asking."""
    batched: bool = False
    """It is left to a provider's batch endpoint, whose answer may take a day."""


class Judgements(Rows):
    """What was said of each content, or who is asking."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.asking: dict[tuple[int, str], Future[None]] = {}
        """What is being asked about, by process number and key; each is done when the asking has ended."""

    def get(self, key: str) -> dict[str, Any] | None:
        """What was said of a content; None where nothing was, or not yet."""
        with self.engine.connect() as connection:
            return connection.execute(select(judgements.c.judgement).where(judgements.c.key == key)).scalar()

    def of(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What was said of these contents, by key; those of which nothing was said, or not yet, are left out."""
        found: dict[str, dict[str, Any]] = {}
        with self.engine.connect() as connection:
            for batch in in_batches(keys):
                query = select(judgements.c.key, judgements.c.judgement)
                query = query.where(judgements.c.key.in_(batch), judgements.c.status.is_not(None))
                found.update((row.key, row.judgement) for row in connection.execute(query))
        return found

    def forget_unreadable(self, keys: Iterable[str]) -> int:
        """Forget those of these contents of which nothing readable was said, so that they are asked about again; how many."""
        forgotten = 0
        for batch in in_batches(keys):
            chosen = delete(judgements).where(judgements.c.key.in_(batch), judgements.c.status == "unparseable")
            with self.engine.begin() as connection:
                forgotten += connection.execute(chosen).rowcount
        return forgotten

    def count(self, *, claims: bool = False) -> int:
        """How many contents are judged, or with `claims` are being judged."""
        status = judgements.c.status.is_(None) if claims else judgements.c.status.is_not(None)
        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(judgements).where(status)).scalar_one()


def claim(connection: Connection, content: Content, worker: str, at: datetime) -> Claim:
    """Claim a content for a worker, unless it is judged or claimed."""
    row = {"key": content.key, "conversation": content.conversation, "judge": content.judge, "worker": worker, "created_at": at}
    if connection.execute(CLAIMED[connection.dialect.name], row).rowcount == 1:
        return Claim(mine=True)
    found = connection.execute(FOUND, {"of_key": content.key}).first()
    if found is None:
        return Claim(mine=False)  # Deleted at this moment; the caller asks again.
    if found.status is not None:
        return Claim(mine=False, judgement=found.judgement)
    # One of our own that nobody of this process is at any more was left by an asking that could not give it back.
    return Claim(mine=found.worker == worker, batched=(found.worker or "").startswith(BATCH))


def keep(connection: Connection, content: Content, judgement: dict[str, Any], at: datetime, *, worker: str | None = None) -> None:
    """Store what was said of a claimed content; what is there already stays as it is.

    Nothing is stored where nobody claims it: the conversation was erased while the judge was asked.

    Args:
        connection: of the transaction in which the money is settled.
        content: what was judged.
        judgement: as JSON; it must have a `status`.
        at: when.
        worker: who asked.
    """
    said = {"new_status": judgement["status"], "new_judgement": judgement, "at": at, "by": worker}
    connection.execute(KEPT, said | {"of_key": content.key})


def release(connection: Connection, key: str, worker: str) -> None:
    """Give up a claim; nothing happens where the content was judged, or is another's by now."""
    mine = (judgements.c.key == key, judgements.c.worker == worker, judgements.c.status.is_(None))
    connection.execute(delete(judgements).where(*mine))


def forget(connection: Connection, conversations: Iterable[str]) -> None:
    """Delete what was said of answers to these conversations, named by their hashes."""
    for batch in in_batches(conversations):
        connection.execute(delete(judgements).where(judgements.c.conversation.in_(batch)))


def conversation_hash(messages: Sequence[Message]) -> str:
    """Names a conversation, without the answer that is judged: what was said of any answer to it is found by this."""
    try:
        said = canonical_json([plain_message(message) for message in messages])
    except TypeError:
        said = json_text([written_message(message) for message in messages])
    return hashlib.sha256(said).hexdigest()


# Statements that every judgement needs are made once.
CLAIMED = {name: insert.on_conflict_do_nothing() for name, insert in inserting(judgements).items()}
FOUND = select(judgements).where(judgements.c.key == bindparam("of_key"))
KEPT = (
    update(judgements)
    .where(judgements.c.key == bindparam("of_key"), judgements.c.status.is_(None))
    .values(
        status=bindparam("new_status"),
        judgement=bindparam("new_judgement", type_=JSON),
        created_at=bindparam("at"),
        worker=bindparam("by"),
    )
)
