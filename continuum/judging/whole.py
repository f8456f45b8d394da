"""Judges that score an answer as a whole: their judgements, and one computation for many who ask at once."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from continuum.judging.injection import suspicious
from continuum.judging.judge import Judgement, floor_of
from continuum.records import Message
from continuum.rubric import Criterion

Case = TypeVar("Case")
Outcome = TypeVar("Outcome")


def whole_judgement(conversation: Sequence[Message], response: Message, overall: float, std: float | None) -> Judgement:
    """The judgement of a judge who has one score and no word on criteria; content that talks to a judge takes it away."""
    if not math.isfinite(overall):
        return Judgement("unparseable")
    if suspicious(conversation, response):
        return Judgement("suspected_injection", std=std)
    return Judgement("ok", overall=min(5.0, max(1.0, overall)), std=std)


def whole_floor(conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion]) -> Judgement | None:
    """The lowest score where there is nothing in the answer that could be judged; None where there is."""
    floor = floor_of(conversation, response, criteria)
    return None if floor is None else replace(floor, scores={})


class Together(Generic[Case, Outcome]):
    """Gathers those who ask at the same time, so that a model computes for all of them at once, off the event loop.

    While one batch is computed the next one gathers; nobody waits for a batch to fill.

    Args:
        compute: from cases to an outcome each; called in a thread, never twice at once.
        most: cases of one batch.
    """

    def __init__(self, compute: Callable[[Sequence[Case]], Sequence[Outcome]], most: int) -> None:
        self._compute = compute
        self._most = most
        self._waiting: list[tuple[Case, asyncio.Future[Outcome]]] = []
        self._at_work: asyncio.Task[None] | None = None

    async def ask(self, case: Case) -> Outcome:
        """The outcome of one case; what the computation raises is raised to all of its batch."""
        loop = asyncio.get_running_loop()
        if self._at_work is not None and self._at_work.get_loop() is not loop:
            # A loop that was closed while work was under way; whoever asked there is gone.
            self._waiting, self._at_work = [], None
        answer: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append((case, answer))
        if self._at_work is None or self._at_work.done():
            self._at_work = loop.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        # Whoever is about to ask in this turn of the loop is to be in the first batch.
        await asyncio.sleep(0)
        while self._waiting:
            batch = [entry for entry in self._waiting[: self._most] if not entry[1].cancelled()]
            del self._waiting[: self._most]
            if not batch:
                continue
            try:
                outcomes = await asyncio.to_thread(self._compute, [case for case, _ in batch])
            except Exception as error:  # noqa: BLE001  it is raised again, to everybody who waits for it
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            except asyncio.CancelledError:
                for _, answer in (*batch, *self._waiting):
                    answer.cancel()
                self._waiting.clear()
                raise
            for (_, answer), outcome in zip(batch, outcomes, strict=True):
                if not answer.done():
                    answer.set_result(outcome)
