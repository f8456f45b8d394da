"""What an interaction may share with another: a beginning, a conversation, a user, a question, an example."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b

from continuum.records import Interaction, Message
from continuum.similarity.normalise import INSTRUCTIONS, TAIL_MESSAGES, canonical

PREFIX_BYTES = 16
LONGEST = 4000
"""Characters of an example that are compared; the end is kept."""
LONGEST_KEPT = 2000
"""Characters of a message whose canonical form is kept for the next context that holds it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What an interaction may share with another, with no more text than is compared."""

    id: str
    started_at: datetime
    conversation: str | None
    user: str | None
    beginnings: bytes
    """Fingerprints of the context as it grew, 16 bytes each: through the first user turn, then message by message."""
    asked: str
    """The words of the first user turn, canonical."""
    example: str
    """The last few messages and the answer, canonical; empty without an answer, and where `asked` is all that was asked."""

    def prefixes(self) -> Iterator[bytes]:
        """The fingerprints of the beginnings, shortest first; the last is that of the whole context."""
        for start in range(0, len(self.beginnings), PREFIX_BYTES):
            yield self.beginnings[start : start + PREFIX_BYTES]

    @property
    def opening(self) -> bytes:
        """The fingerprint through the first user turn; empty without messages."""
        return self.beginnings[:PREFIX_BYTES]

    @property
    def context(self) -> bytes:
        """The fingerprint of the whole context; empty without messages."""
        return self.beginnings[-PREFIX_BYTES:]


def keys_of(interaction: Interaction) -> Keys:
    """The keys of one interaction."""
    spoken = [message for message in interaction.messages if message.role not in INSTRUCTIONS]
    lines = [_line(message) for message in spoken]
    opening = _opening_length(spoken)
    answer = interaction.response.action if interaction.response is not None else ""
    example = "\n".join([*lines[-TAIL_MESSAGES:], _canonical(answer)]) if answer and len(lines) > 1 else ""
    return Keys(
        id=interaction.id,
        started_at=interaction.started_at,
        conversation=interaction.conversation_id or None,
        user=interaction.user_id or None,
        beginnings=beginnings(lines, opening),
        asked=lines[opening - 1].partition(": ")[2] if spoken else "",
        example=example[-LONGEST:],
    )


def beginnings_of(messages: Sequence[Message]) -> list[bytes]:
    """The fingerprints of a context's beginnings, shortest first: through the first user turn, then message by message."""
    spoken = [message for message in messages if message.role not in INSTRUCTIONS]
    packed = beginnings([_line(message) for message in spoken], _opening_length(spoken))
    return [packed[start : start + PREFIX_BYTES] for start in range(0, len(packed), PREFIX_BYTES)]


def beginnings(lines: Sequence[str], opening: int) -> bytes:
    """The fingerprints, 16 bytes each, of the first `opening` lines, and of one line more up to all of them."""
    digest = blake2b(digest_size=PREFIX_BYTES)
    found: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        encoded = line.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
        if number >= opening:
            found.append(digest.digest())
    return b"".join(found)


def _opening_length(spoken: Sequence[Message]) -> int:
    for position, message in enumerate(spoken):
        if message.role == "user":
            return position + 1
    return len(spoken)


def _line(message: Message) -> str:
    return f"{message.role}: {_canonical(message.action)}"


def _canonical(text: str) -> str:
    # The contexts of one dialogue hold the same messages again and again.
    return _kept(text) if len(text) <= LONGEST_KEPT else canonical(text)


@lru_cache(maxsize=50_000)
def _kept(text: str) -> str:
    return canonical(text)
