"""One base model with its adapters hot, answering many callers in few calls.

Conversations that come within a few milliseconds of each other, or while the model is busy, are answered together,
whichever adapters they are for.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from continuum.models.chat import Usage
from continuum.records import Message

LINGER_S = 0.004
"""How long the first conversation of a batch waits for company."""
MAX_BATCH = 32
MAX_ADAPTERS = 16
"""Adapters held at once; the one that was longest not asked for goes first."""


class EngineAnswer(Protocol):
    """What an engine says."""

    @property
    def message(self) -> Message:
        """The answer."""
        ...

    @property
    def usage(self) -> Usage:
        """Tokens it took."""
        ...


class Engine(Protocol):
    """A base model and its adapters, as `models/local.py` has them."""

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that can answer now."""
        ...

    def load_adapter(self, name: str, folder: Path) -> None:
        """Make an adapter ready under a name."""
        ...

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter."""
        ...

    def answer(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: str | Sequence[str | None] | None = None,
        max_new_tokens: int = 96,
        batch_size: int = 64,
    ) -> Sequence[EngineAnswer]:
        """The answers, in the order of the conversations."""
        ...


@dataclass(frozen=True)
class Adapter:
    """A tuned model: the name it is served by, and its verified folder."""

    name: str
    folder: Path


class _Batch:
    """Conversations that are answered together."""

    def __init__(self, run: "Callable[[_Batch], Coroutine[Any, Any, Sequence[EngineAnswer]]]") -> None:
        self.conversations: list[tuple[Sequence[Message], Adapter]] = []
        self.answers = asyncio.create_task(run(self))

    def asks(self, adapter: str) -> bool:
        """Whether one of the conversations is for an adapter."""
        return any(asked.name == adapter for _, asked in self.conversations)


class HotModel:
    """An engine shared by many requests; one call of it runs at a time."""

    def __init__(
        self, engine: Engine, *, linger_s: float = LINGER_S, max_batch: int = MAX_BATCH, max_adapters: int = MAX_ADAPTERS
    ) -> None:
        self._engine = engine
        self._linger_s = linger_s
        self._max_batch = max_batch
        self._max_adapters = max(max_adapters, max_batch)
        self._used: OrderedDict[str, None] = OrderedDict()
        self._filling: dict[int, _Batch] = {}
        self._turn = asyncio.Lock()
        self._unanswered: set[_Batch] = set()

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that are loaded."""
        return self._engine.adapters

    async def answer(self, conversation: Sequence[Message], adapter: Adapter, *, max_new_tokens: int) -> EngineAnswer:
        """One answer; whatever the engine raises for the batch is raised to each who waits for it."""
        if adapter.name not in self._used:
            # Loaded apart from the batch: an adapter that cannot be loaded is nobody else's trouble.
            await self.load(adapter)
        batch = self._filling.get(max_new_tokens)
        if batch is None:
            # Only answers of one length go together: a short one would wait for the long one to end.
            batch = self._filling[max_new_tokens] = _Batch(partial(self._run, max_new_tokens))
            self._unanswered.add(batch)
            batch.answers.add_done_callback(lambda _: self._unanswered.discard(batch))
        place = len(batch.conversations)
        batch.conversations.append((conversation, adapter))
        if len(batch.conversations) >= self._max_batch:
            self._close(max_new_tokens, batch)
        # Shielded, so that one caller who goes away does not take the answers of the others along.
        return (await asyncio.shield(batch.answers))[place]

    async def load(self, adapter: Adapter) -> None:
        """Have an adapter ready before it is asked for."""
        async with self._turn:
            await asyncio.to_thread(self._ready, [adapter])

    async def unload(self, name: str) -> None:
        """Forget an adapter, once what it was asked has been answered."""
        # Those who asked for it before now are answered by it; their batch would only load it again.
        if waiting := [batch.answers for batch in self._unanswered if batch.asks(name)]:
            await asyncio.wait(waiting)
        async with self._turn:
            self._used.pop(name, None)
            await asyncio.to_thread(self._engine.unload_adapter, name)

    async def _run(self, max_new_tokens: int, batch: _Batch) -> Sequence[EngineAnswer]:
        await asyncio.sleep(self._linger_s)
        async with self._turn:
            # Open until here: whoever came while the engine was busy is in.
            self._close(max_new_tokens, batch)
            return await asyncio.to_thread(self._answer, batch.conversations, max_new_tokens)

    def _close(self, max_new_tokens: int, batch: _Batch) -> None:
        if self._filling.get(max_new_tokens) is batch:
            del self._filling[max_new_tokens]

    def _answer(self, asked: Sequence[tuple[Sequence[Message], Adapter]], max_new_tokens: int) -> Sequence[EngineAnswer]:
        self._ready([adapter for _, adapter in asked])
        return self._engine.answer(
            [conversation for conversation, _ in asked],
            adapter=[adapter.name for _, adapter in asked],
            max_new_tokens=max_new_tokens,
            batch_size=self._max_batch,
        )

    def _ready(self, adapters: Sequence[Adapter]) -> None:
        for adapter in adapters:
            if adapter.name not in self._used:
                self._engine.load_adapter(adapter.name, adapter.folder)
            self._used[adapter.name] = None
            self._used.move_to_end(adapter.name)
        while len(self._used) > self._max_adapters:
            oldest, _ = self._used.popitem(last=False)
            self._engine.unload_adapter(oldest)
