"""Sessions: which interactions are one person talking, and what was answered to each of their messages.

Two interactions are of one session when they share a conversation id, when one continues the messages of the other, or, where
there is neither, when the same user asks again within half an hour. Of each interaction only what telling signals apart takes
is held, so that a task's history fits into memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from continuum.records import Interaction, Message
from continuum.similarity.fingerprints import fingerprint
from continuum.similarity.normalise import INSTRUCTIONS, canonical, canonical_lines

SESSION_GAP = timedelta(minutes=30)
"""After so long a user without conversation ids begins anew."""
MOST_EXCHANGES = 200
"""What is longer is no talk: one id stands for a whole service, and who followed whom says nothing."""
LONGEST_QUESTION = 2000
"""Characters of a message that are compared."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One interaction, without its text but for what was last asked."""

    id: str
    started_at: datetime
    ended_at: datetime
    conversation: str | None
    user: str | None
    context: str
    """Fingerprint of all that the model was given."""
    before: str | None
    """Fingerprint of that without the person's last messages; None where nothing was answered before them."""
    whole: str | None
    """Fingerprint of the messages with the answer; None where there is no answer."""
    asked: str
    """What the person last said, canonical."""
    by_person: bool
    """Whether a person's message is what was answered, and not a tool's result."""
    answered: bool
    """Whether there is an answer in words."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A person's message and what was answered in the end, tools in between left out."""

    asked: Turn
    answer: Turn


def turn_of(interaction: Interaction) -> Turn | None:
    """What an interaction says of its session; None where it happened inside another one, or nobody asked anything."""
    if interaction.parent_id is not None:
        return None
    spoken = [message for message in interaction.messages if message.role not in INSTRUCTIONS]
    if not any(message.role == "user" for message in spoken):
        return None
    lines = canonical_lines(spoken)
    earlier = len(spoken) - _length_of_last_message(spoken)
    answer = interaction.response if interaction.status == "ok" else None
    latency = timedelta(milliseconds=min(interaction.latency_ms or 0, 3_600_000))
    return Turn(
        id=interaction.id,
        started_at=interaction.started_at,
        ended_at=interaction.started_at + latency,
        conversation=interaction.conversation_id or None,
        user=interaction.user_id or None,
        context=fingerprint(*lines),
        before=fingerprint(*lines[:earlier]) if earlier else None,
        whole=None if answer is None else fingerprint(*lines, *canonical_lines([answer])),
        asked=canonical(next(message.text for message in reversed(spoken) if message.role == "user"))[-LONGEST_QUESTION:],
        by_person=spoken[-1].role == "user",
        answered=answer is not None and not answer.tool_calls and bool(answer.text.strip()),
    )


def sessions_of(turns: Iterable[Turn]) -> list[list[Exchange]]:
    """The sessions, each with its exchanges from the first to the last; those too long to be one person's are left out."""
    found: dict[int, list[Turn]] = {}
    for turn, session in _with_sessions(sorted(turns, key=lambda turn: (turn.started_at, turn.id))):
        found.setdefault(session, []).append(turn)
    return [exchanges for session in found.values() if 0 < len(exchanges := list(_exchanges(session))) <= MOST_EXCHANGES]


def _length_of_last_message(spoken: list[Message]) -> int:
    """How many messages at the end came from outside: several in a row are one."""
    count = 0
    for message in reversed(spoken):
        if message.role == "assistant":
            break
        count += 1
    return count


def _with_sessions(turns: Iterable[Turn]) -> Iterator[tuple[Turn, int]]:
    """Each turn, in the order of time, with the number of its session."""
    by_conversation: dict[str, int] = {}
    by_words: dict[str, int] = {}
    by_user: dict[str, tuple[int, datetime]] = {}
    next_session = 0
    for turn in turns:
        session = by_conversation.get(turn.conversation) if turn.conversation else None
        if session is None and turn.before is not None:
            # The answer it follows, or the same question put before; a first message alone would join strangers.
            session = by_words.get(turn.before, by_words.get(turn.context))
        if session is None and turn.user and not turn.conversation:
            last, ended_at = by_user.get(turn.user, (None, turn.started_at))
            session = last if turn.started_at - ended_at <= SESSION_GAP else None
        if session is None:
            session, next_session = next_session, next_session + 1
        if turn.conversation:
            by_conversation.setdefault(turn.conversation, session)
        if turn.user:
            by_user[turn.user] = session, turn.ended_at
        if turn.whole:
            by_words[turn.whole] = session
        if turn.before is not None:
            by_words[turn.context] = session
        yield turn, session


def _exchanges(session: list[Turn]) -> Iterator[Exchange]:
    asked = answer = None
    for turn in session:
        if turn.by_person or asked is None:
            if asked is not None and answer is not None:
                yield Exchange(asked, answer)
            asked = turn
        answer = turn
    if asked is not None and answer is not None:
        yield Exchange(asked, answer)
