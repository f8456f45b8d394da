"""A judge that is never asked the same twice, by whichever process of a store."""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from datetime import datetime
from functools import partial
from os import getpid
from typing import TYPE_CHECKING, Any, Self

from continuum.errors import JudgeError
from continuum.judging.judge import Capability, Judge, Judgement, content_key, held_open, must_be_priced
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from continuum.store.database import Store
    from continuum.store.judgements import Claim, Content

SHORTEST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
SWEEP_S = 5.0
"""How often who waits looks whether the other is dead."""
PATIENCE_S = 900.0
KEPT = tuple(field.name for field in fields(Judgement) if field.name != "cached")
"""What is kept of a judgement."""


class UnderWayElsewhere(JudgeError):
    """Another process is asking the same at this moment; what it is told will be here later."""


class CachedJudge:
    """A judge whose judgements are kept in the store, under a hash of the content, the rubric and the judge's version.

    A content is claimed before it is asked about, so that no two processes ask the same; the claim of a process that dies is
    given free. What the judge says is stored in the transaction that settles what it cost. Preferences are not kept.

    Args:
        judge: whom to ask for what nobody has asked.
        store: where judgements are kept.
        wait: wait for another process that is asking the same; else raise `UnderWayElsewhere`.
        now: the clock.
    """

    def __init__(self, judge: Judge, store: "Store", *, wait: bool = True, now: Callable[[], datetime] = utc_now) -> None:
        self.asked = judge
        self.name = judge.name
        self._store = store
        self._wait = wait
        self._now = now
        self._swept = False
        self._open: list[AsyncExitStack] = []

    @property
    def version(self) -> str:
        """That of the judge who is asked."""
        return self.asked.version

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the judge who is asked, but for comparing."""
        return self.asked.capabilities - {"pairwise"}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(held_open(self.asked))
            self._open.append(stack.pop_all())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.pop().aclose()

    def must_be_priced(self) -> None:
        """Refuse a budget that could not be kept.

        Raises:
            ConfigurationError: no price is known for the judge.
        """
        must_be_priced(self.asked)

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
        also: "Callable[[Judgement], Callable[[Connection], object] | None] | None" = None,
    ) -> Judgement:
        """What was said of this before, at no cost, or else what the judge says now.

        Args:
            conversation: what was answered.
            response: the answer.
            criteria: what to judge by.
            budget: what pays for it.
            also: from a judgement that is new to what is written with it, in the transaction that stores and settles it; None
                for nothing.

        Raises:
            UnderWayElsewhere: another process is asking the same, and this judge does not wait or has waited long; or it is
                left to a batch endpoint, for which nobody waits.
            BudgetExhausted: the budget does not cover the judgement.
            JudgeError: the judge could not be asked.
        """
        from continuum.store.judgements import Content, conversation_hash

        key = judgement_key(self.version, conversation, response, criteria)
        content = Content(key, conversation_hash(conversation), self.name)
        asking, mine = self._store.judgements.asking, Future[None]()
        while (other := asking.setdefault((getpid(), key), mine)) is not mine:
            # The same content in this process; whatever came of it, it is looked up, or asked again where it failed.
            await asyncio.wait([asyncio.wrap_future(other)])
        try:
            found = await self._claimed(content)
            if found is not None:
                return replace(found, cost_usd=0.0, cached=True)
            return await self._ask(content, partial(self.asked.judge, conversation, response, criteria), budget, also)
        finally:
            del asking[getpid(), key]
            mine.set_result(None)

    async def _claimed(self, content: "Content") -> Judgement | None:
        """What was said of a content; None when the claim to it is ours."""
        pause, since, swept = SHORTEST_PAUSE_S, time.monotonic(), time.monotonic()
        if not self._swept:
            await asyncio.to_thread(self._sweep)
            self._swept = True
        while True:
            claim = await self._claim(content)
            if claim.mine:
                return None
            if claim.judgement is not None:
                return judgement_kept(claim.judgement)
            now = time.monotonic()
            if not self._wait or claim.batched or now - since > PATIENCE_S:
                raise UnderWayElsewhere(f"another process is asking judge {self.name!r} the same; what it says will be stored")
            if now - swept > SWEEP_S:
                await asyncio.to_thread(self._sweep)
                swept = now
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(pause * 1.5, LONGEST_PAUSE_S)

    async def _claim(self, content: "Content") -> "Claim":
        from continuum.store.grouped import CLAIM
        from continuum.store.judgements import claim, release

        workers = self._store.workers

        def work(connection: "Connection") -> "Claim":
            at = self._now()
            return claim(connection, content, workers.see(connection, at), at)

        return await self._store.writes.write(
            work,
            order=(CLAIM, content.key),
            undo=lambda got: partial(release, key=content.key, worker=workers.known or "") if got.mine else None,
        )

    async def _ask(
        self,
        content: "Content",
        ask: Callable[..., Awaitable[Judgement]],
        budget: Budget | None,
        also: "Callable[[Judgement], Callable[[Connection], object] | None] | None",
    ) -> Judgement:
        from continuum.store.judgements import release

        worker = self._store.workers.known or ""
        try:
            if budget is None or budget.account is None:
                judgement = await ask(budget=budget)
                await self._store.writes.write(self._keeping(content, judgement, worker, also))
            else:
                async with budget.together() as purse:
                    judgement = await ask(budget=purse)
                    await purse.book(self._keeping(content, judgement, worker, also))
        except BaseException:
            # Nothing happens where it is stored already, and the cancellation came while that was being done.
            await self._store.writes.write(partial(release, key=content.key, worker=worker))
            raise
        return judgement

    def _keeping(
        self,
        content: "Content",
        judgement: Judgement,
        worker: str,
        also: "Callable[[Judgement], Callable[[Connection], object] | None] | None",
    ) -> "Callable[[Connection], None]":
        from continuum.store.judgements import keep

        said = {name: getattr(judgement, name) for name in KEPT}
        kept = partial(keep, content=content, judgement=said, at=self._now(), worker=worker)
        more = also(judgement) if also else None

        def write(connection: "Connection") -> None:
            kept(connection)
            if more is not None:
                more(connection)

        return write

    def _sweep(self) -> None:
        self._store.workers.here()
        self._store.workers.settle_dead()


def judgement_key(version: str, conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion]) -> str:
    """Under what a judgement is kept: 64 hex digits of the judge's version, the rubric, the conversation and the answer."""
    return hashlib.sha256(f"{version} {content_key(conversation, response, criteria)}".encode()).hexdigest()


def judgement_kept(said: dict[str, Any]) -> Judgement:
    """A judgement as it was kept; what a newer package may have written besides is left out."""
    return Judgement(**{name: value for name, value in said.items() if name in KEPT})
