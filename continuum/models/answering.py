"""Asking a checkpoint for its answers: what the guard and the learning curve need of a model, and the local way to get it."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from continuum.artifacts.copies import local as folder_of
from continuum.errors import ConfigurationError, MissingExtra
from continuum.records import Checkpoint, Message

if TYPE_CHECKING:
    from continuum.models.local import LocalModel

Conversation = Sequence[Message]
T = TypeVar("T")


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


@runtime_checkable
class TextMeasurer(Protocol):
    """An answerer that also reads plain documents."""

    async def text_loss(self, model: Checkpoint | None, texts: Sequence[str]) -> list[float]:
        """Mean negative log-likelihood of each document, in nats a token."""
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

    @property
    def settings(self) -> dict[str, Any]:
        """What its answers depend on beside the model and the conversation; `batch_size` is no part of it."""
        return {"decoding": "greedy", "max_new_tokens": self.max_new_tokens}

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Conversation]) -> list[Message | None]:
        """One greedy answer for each conversation; None where it is empty.

        Raises:
            ConfigurationError: no base model is named.
            StoreError: the adapter is not what the store says it is.
            MissingExtra: the training extra is not installed.
        """

        def answered(local: "LocalModel", adapter: str | None) -> list[Message | None]:
            answers = local.answer(conversations, adapter=adapter, max_new_tokens=self.max_new_tokens, batch_size=self.batch_size)
            return [answer.message if answer.message.action else None for answer in answers]

        return await self.run(model, answered)

    async def loss(self, model: Checkpoint | None, examples: Sequence[tuple[Conversation, Message]]) -> list[float]:
        """Mean negative log-likelihood of each answer, in nats a token."""
        return await self.run(model, lambda local, adapter: local.loss(examples, adapter=adapter))

    async def text_loss(self, model: Checkpoint | None, texts: Sequence[str]) -> list[float]:
        """Mean negative log-likelihood of each plain document, in nats a token, as `LocalModel.text_loss` has it."""
        return await self.run(model, lambda local, adapter: local.text_loss(texts, adapter=adapter))

    async def run(self, model: Checkpoint | None, measure: "Callable[[LocalModel, str | None], T]") -> T:
        """What a function says of a model in memory and the name of its adapter, in a thread; nobody else asks meanwhile."""
        return await asyncio.to_thread(self._run, model, measure)

    def _run(self, model: Checkpoint | None, measure: "Callable[[LocalModel, str | None], T]") -> T:
        with self._lock:
            return measure(*self._open(model))

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

            verify_artifact(model.uri, model.manifest)
            local.load_adapter(model.id, folder_of(model.uri))
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
