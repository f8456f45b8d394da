"""From the backlog into a batch: what nobody has judged is claimed, and what it can cost is reserved, before anything is sent."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from continuum.annotation.batch_sending import (
    AT_ONCE,
    Clock,
    Request,
    Role,
    annotation_of,
    detail_of,
    request_of,
)
from continuum.ids import new_id
from continuum.judging.cached import judgement_kept
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.judge import Judgement, floor_of
from continuum.judging.model_judge import EndpointJudge
from continuum.models.account import Account
from continuum.records import Annotation, Interaction
from continuum.rubric import Criterion
from continuum.store.batches import BatchRow

if TYPE_CHECKING:
    from continuum.store.database import Store


@dataclass
class Filled:
    """What came of the backlog so far."""

    annotations: list[Annotation] = field(default_factory=list)
    """Of interactions that needed no request: judged before, or with nothing in them to judge."""
    cached: int = 0
    requests: int = 0
    interactions: int = 0
    reserved_micro_usd: int = 0
    under_way: int = 0
    """Interactions that another worker or batch is at."""
    exhausted: bool = False

    @property
    def done(self) -> int:
        """Interactions dealt with."""
        return self.interactions + len(self.annotations)


@dataclass
class Filling:
    """Fills one batch after another from a task's backlog."""

    store: "Store"
    judge: EndpointJudge
    criteria: tuple[Criterion, ...]
    account: Account
    """Which pays."""
    room_micro_usd: int | None
    """The most that may be reserved besides; None for no limit."""
    role: Role
    takes: int | None
    """How many requests the provider takes at once, where that is known to be few."""
    chosen: Callable[[Interaction], bool]
    now: Clock
    filled: Filled = field(default_factory=Filled)

    @property
    def task(self) -> str:
        """Whose backlog."""
        return self.account.key.task

    @property
    def rubric(self) -> str:
        """Fingerprint of the criteria."""
        return rubric_fingerprint(self.criteria)

    def requests(self, since: datetime | None) -> Iterator[Request]:
        """The backlog as requests, oldest first; an answer with nothing in it to judge gets its score on the way."""
        names = {"judge": self.judge.name, "rubric": self.rubric}
        skipped = self.store.batches.under_way(self.task)
        self.filled.under_way = len(skipped)
        skipped |= self.store.batches.left_to_live(self.task, **names)
        for interaction in self.store.interactions.unannotated(self.task, **names, since=since, until=None):
            if interaction.response is None or interaction.id in skipped or not self.chosen(interaction):
                continue
            floor = floor_of(interaction.messages, interaction.response, self.criteria)
            if floor is None:
                yield request_of(interaction, interaction.response, self.judge, self.criteria)
            else:
                self._annotate(interaction, floor)

    async def batch(
        self, requests: Iterator[Request], most: int, most_bytes: int, told: Callable[[int], None]
    ) -> BatchRow | None:
        """A new batch, filled from the requests as far as it goes and as the money goes; None where nothing is left to do.

        Args:
            requests: what `requests` gives; it stays where it is, for the next batch.
            most: how many may go in.
            most_bytes: how large its file may be.
            told: gets the number of interactions dealt with, from time to time.
        """
        row = await asyncio.to_thread(self._new_batch)
        self.store.batches.sending.add(row.id)
        try:
            while most > 0 and most_bytes > 0 and not self.filled.exhausted:
                chunk = await asyncio.to_thread(next_chunk, requests, most=most, most_bytes=most_bytes)
                if not chunk:
                    break
                most -= await asyncio.to_thread(self._take, row, chunk)
                most_bytes -= sum(len(request.line) for request in chunk)
                told(self.filled.done)
            return None if self.store.batches.drop_if_empty(row.id) else row
        finally:
            self.store.batches.sending.discard(row.id)

    def _take(self, row: BatchRow, chunk: list[Request]) -> int:
        taken = self.store.batches.take(
            row,
            [request.candidate for request in chunk],
            self.account.key,
            at=self.now(),
            limit_micro_usd=self.account.limit,
            room_micro_usd=self.room_micro_usd,
        )
        if self.room_micro_usd is not None:
            self.room_micro_usd -= taken.reserved_micro_usd
        asked = {request.interaction.id: request.interaction for request in chunk}
        for interaction_id, said in taken.known:
            self._annotate(asked[interaction_id], replace(judgement_kept(said), cost_usd=0.0, cached=True))
            self.filled.cached += 1
        self.filled.requests += taken.requests
        self.filled.interactions += taken.interactions
        self.filled.reserved_micro_usd += taken.reserved_micro_usd
        self.filled.under_way += taken.elsewhere
        self.filled.exhausted = taken.exhausted
        return taken.requests

    def _annotate(self, interaction: Interaction, judgement: Judgement) -> None:
        said = annotation_of(self.judge.name, self.rubric, self.role, interaction, judgement, self.now())
        self.store.annotations.add([said])
        self.filled.annotations.append(said)

    def _new_batch(self) -> BatchRow:
        detail = detail_of(self.judge, self.criteria, role=self.role, takes=self.takes)
        names = {"task": self.task, "judge": self.judge.name, "rubric": self.rubric, "base_url": self.judge.model.base_url}
        # It is this process's from the beginning: nobody else hands it over while it is being filled.
        worker, at = self.store.workers.here(), self.now()
        row = BatchRow(
            id=new_id(), **names, state="prepared", worker=worker, provider_id=None, detail=detail, created_at=at, updated_at=at
        )
        self.store.batches.add(row)
        return row


def next_chunk(requests: Iterator[Request], *, most: int, most_bytes: int) -> list[Request]:
    """The next requests that are dealt with together; beyond `most_bytes` at most one of them goes."""
    chunk: list[Request] = []
    for request in requests:
        chunk.append(request)
        most_bytes -= len(request.line)
        if len(chunk) >= min(AT_ONCE, most) or most_bytes <= 0:
            break
    return chunk
