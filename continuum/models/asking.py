"""Asking models for their answers, never twice for the same: an evaluation that is broken off goes on where it was.

Answers are kept in the store as they come, a chunk at a time, under a hash of the model's files, how it is asked, and the
conversation. Which conversations are asked together depends on the whole list alone, not on what is kept already: what a model
says to one may, in its last bits, depend on the others, and a resumed evaluation is to come out like an undisturbed one.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from continuum.errors import ConfigurationError
from continuum.models.answering import Answerer, Conversation
from continuum.progress import Progress, silent
from continuum.provenance.revisions import base_revision
from continuum.records import Checkpoint, Message
from continuum.splits.golden_items import OWN
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

CHUNK = 64
"""Conversations that are asked together, and the most answers that a kill loses."""


@dataclass(frozen=True)
class _Question:
    """A conversation that is asked once, however often it stands in the list."""

    key: str
    conversation: Conversation
    interaction_id: str | None


class Asking:
    """Asks one answerer, and keeps what it says.

    An answerer may say how it asks by a mapping `settings` (the longest answer, a temperature, an address), which is part of
    the key; and that it would not give the same answer twice by `cacheable = False`, and then nothing is kept. Nothing is kept
    either where neither the files of the model nor the settings are known: another model's answer could not be told from it.

    Args:
        answerer: who runs the models.
        store: where the answers are kept.
        task: whose they are.
        chunk: conversations that are asked together.
        now: the clock.
    """

    def __init__(
        self, answerer: Answerer, store: "Store", task: str, *, chunk: int = CHUNK, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.answerer = answerer
        self.store = store
        self.task = task
        self.chunk = chunk
        self._now = now
        self._seen: set[str] = set()

    async def answers(
        self,
        model: Checkpoint | None,
        base_model: str,
        conversations: Sequence[Conversation],
        *,
        interaction_ids: Sequence[str | None] | None = None,
        on_progress: Progress = silent,
    ) -> list[Message | None]:
        """One answer for each conversation, in their order; None where the model gave none.

        Args:
            model: the checkpoint to ask; None for the base model without an adapter.
            base_model: the base model's local path or hub id.
            conversations: messages, oldest first, that end before the answer; one that stands there twice is asked once.
            interaction_ids: whose conversation each is, so that its answer is erased with it; None for nobody's.
            on_progress: told the answers that are there, of how many.

        Raises:
            ConfigurationError: the answerer gave another number of answers than it was asked for.
            Exception: whatever the answerer raises; what it answered before is kept.
        """
        if interaction_ids is not None and len(interaction_ids) != len(conversations):
            raise ConfigurationError(f"{len(interaction_ids)} interaction ids do not fit {len(conversations)} conversations")
        asked_by = await asyncio.to_thread(self._identity, model, base_model)
        # Of what somebody brought nothing is erased: no interaction stands behind it.
        owners = [None if one is None or one.startswith(OWN) else one for one in interaction_ids or [None] * len(conversations)]
        keys = [_key(asked_by, conversation) for conversation in conversations]
        questions = {
            key: _Question(key, conversation, owner)
            for key, conversation, owner in reversed(list(zip(keys, conversations, owners, strict=True)))
        }
        found = await self._all(model, str(base_model), list(questions.values()), asked_by is not None, on_progress)
        return [found[key] for key in keys]

    async def _all(
        self, model: Checkpoint | None, base_model: str, questions: list[_Question], kept: bool, on_progress: Progress
    ) -> dict[str, Message | None]:
        answers = self.store.golden_answers
        name = model.name if model else base_model
        found: dict[str, Message | None] = {}
        if kept:
            owners = [question.interaction_id for question in questions if question.interaction_id is not None]
            # Of what is erased from now on nothing is kept, by a later call neither.
            self._seen |= await asyncio.to_thread(answers.there, owners)
        chunks = _chunks(questions, self.chunk)
        # Another process that is asked for the same begins elsewhere, so that the two share the work. The answers do not depend
        # on the order.
        random.SystemRandom().shuffle(chunks)
        for chunk in chunks:
            on_progress(len(found), len(questions), f"{name} answers")
            if kept:
                found |= await asyncio.to_thread(answers.of, [question.key for question in chunk])
            missing = [question for question in chunk if question.key not in found]
            if not missing:
                continue
            said = await self.answerer.answer(model, [question.conversation for question in missing])
            if len(said) != len(missing):
                raise ConfigurationError(
                    f"the answerer gave {len(said)} answers to {len(missing)} conversations; it must give one each"
                )
            found |= {question.key: answer for question, answer in zip(missing, said, strict=True)}
            if kept:
                found |= await asyncio.to_thread(self._keep, model.id if model else base_model, missing, said)
        on_progress(len(questions), len(questions), f"{name} has answered")
        return found

    def _keep(self, model: str, questions: list[_Question], said: Sequence[Message | None]) -> dict[str, Message | None]:
        """Keep the answers, and say what is kept: where another process was sooner, its answers."""
        from continuum.store.golden_answers import KeptAnswer  # SQLAlchemy starts here

        rows = [
            KeptAnswer(question.key, self.task, question.interaction_id, model, answer, self._now())
            for question, answer in zip(questions, said, strict=True)
        ]
        self.store.golden_answers.keep(rows, seen=self._seen)
        return self.store.golden_answers.of(row.key for row in rows)

    def _identity(self, model: Checkpoint | None, base_model: str) -> str | None:
        """A hash of who answers and how; None where nothing is to be kept."""
        if not getattr(self.answerer, "cacheable", True):
            return None
        told = getattr(self.answerer, "settings", None)
        settings = dict(told) if isinstance(told, Mapping) else None
        # Without a checkpoint an answerer asks its own base model, where it has one.
        base = model.base_model if model else str(getattr(self.answerer, "base_model", None) or base_model)
        revision = base_revision(base)
        adapter = dict(model.manifest) if model else None
        files_known = bool(adapter) if model else bool(revision)
        if not files_known and settings is None:
            return None
        kind = type(self.answerer)
        parts = {
            "answerer": f"{kind.__module__}.{kind.__qualname__}",
            "settings": settings,
            "base": revision or base,
            "adapter": adapter or (model.id if model else None),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def blinded(answer: Message | None) -> Message | None:
    """An answer as nothing but what it says and does: names, ids of calls and a provider's own fields tell whose it is."""
    if answer is None:
        return None
    calls = answer.tool_calls and tuple(call.model_copy(update={"id": "", "type": "function"}) for call in answer.tool_calls)
    return Message(role="assistant", content=answer.text, tool_calls=calls or None)


def said_hash(messages: Sequence[Message]) -> str:
    """64 hex digits that name messages by what they say, whoever said it; also what no database takes has a name."""
    said = [message.model_dump(mode="json", exclude_none=True) for message in messages]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _key(asked_by: str | None, conversation: Conversation) -> str:
    return hashlib.sha256(f"{asked_by} {said_hash(conversation)}".encode()).hexdigest()


def _chunks(questions: Sequence[_Question], size: int) -> list[list[_Question]]:
    """The questions in chunks of about equal length, which a model answers fastest together."""
    by_length = sorted(questions, key=lambda question: sum(len(message.text) for message in question.conversation))
    return [by_length[start : start + size] for start in range(0, len(by_length), size)]
