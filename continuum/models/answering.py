"""Asking a checkpoint for its answers: what the guard and the learning curve need of a model, and the local way to get it."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from continuum.errors import ConfigurationError, MissingExtra
from continuum.records import Checkpoint, Message

if TYPE_CHECKING:
    from continuum.models.local import LocalModel

Conversation = Sequence[Message]


class Answerer(Protocol):
    """Gets the answers of a model to many conversations."""

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Conversation]) -> list[Message | None]:
        """One answer for each conversation; None where the model gave none.

        Args:
            model: the checkpoint to ask; None for the base model without an adapter.
            conversations: messages, oldest first, that end before the answer.
        """
        ...


@runtime_checkable
class LossMeasurer(Protocol):
    """An answerer that also sees probabilities."""

    async def loss(self, model: Checkpoint | None, examples: Sequence[tuple[Conversation, Message]]) -> list[float]:
        """Mean negative log-likelihood of each answer, in nats a token."""
        ...


class LocalAnswerer:
    """Runs checkpoints in this process: a base model is loaded once, adapters are put on it as they are asked for.

    Args:
        base_model: the local path or hub id asked when no checkpoint is named; a checkpoint names its own.
        max_new_tokens: the longest answer.
        batch_size: conversations that are answered together.
    """

    def __init__(self, base_model: str | Path | None = None, *, max_new_tokens: int = 96, batch_size: int = 64) -> None:
        self.base_model = base_model
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self._models: dict[str, LocalModel] = {}
        # One model answers one caller at a time: the active adapter is a property of the whole model.
        self._lock = threading.Lock()

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Conversation]) -> list[Message | None]:
        """One greedy answer for each conversation; None where it is empty.

        Raises:
            ConfigurationError: no base model is named.
            StoreError: the adapter is not what the store says it is.
            MissingExtra: the training extra is not installed.
        """
        return await asyncio.to_thread(self._answer, model, conversations)

    async def loss(self, model: Checkpoint | None, examples: Sequence[tuple[Conversation, Message]]) -> list[float]:
        """Mean negative log-likelihood of each answer, in nats a token."""
        return await asyncio.to_thread(self._loss, model, examples)

    def _answer(self, model: Checkpoint | None, conversations: Sequence[Conversation]) -> list[Message | None]:
        with self._lock:
            local, adapter = self._open(model)
            answers = local.answer(conversations, adapter=adapter, max_new_tokens=self.max_new_tokens, batch_size=self.batch_size)
        return [answer.message if answer.message.action else None for answer in answers]

    def _loss(self, model: Checkpoint | None, examples: Sequence[tuple[Conversation, Message]]) -> list[float]:
        with self._lock:
            local, adapter = self._open(model)
            return local.loss(examples, adapter=adapter)

    def _open(self, model: Checkpoint | None) -> "tuple[LocalModel, str | None]":
        base = str(model.base_model if model else self.base_model or "")
        if not base:
            raise ConfigurationError("no base model is named; set base_model in the task's policy or CONTINUUM_BASE_MODEL")
        if base not in self._models:
            self._models[base] = load_model(base)
        local = self._models[base]
        if model is None:
            return local, None
        if model.id not in local.adapters:
            from continuum.provenance.artifacts import verify_artifact

            folder = Path(model.uri)
            verify_artifact(folder, model.manifest)
            local.load_adapter(model.id, folder)
        return local, model.id


def load_model(base: str) -> "LocalModel":
    """Load a base model into this process.

    Raises:
        MissingExtra: the training extra is not installed.
    """
    try:
        from continuum.models.local import LocalModel  # torch and transformers start here
    except ImportError as error:
        raise MissingExtra.of(error, "Answering with a local model") from error
    return LocalModel(base)
