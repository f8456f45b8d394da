"""From a provider's result files to annotations: each request settled once, by what it cost, with what was said.

A provider may send lines in any order, twice, broken, or of requests that nobody made. Of several lines about one request the
one that says most counts, whatever their order; what cannot be read is counted and costs nothing that is not reserved.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from continuum.annotation.batch_sending import AT_ONCE, Clock, annotation_of, content_of, criteria_of
from continuum.annotation.batch_stats import Tally
from continuum.judging.model_judge import Asked, EndpointJudge, judgement_read
from continuum.judging.prompt import answer_form, judge_messages
from continuum.models.budget import in_micro_usd
from continuum.models.chat import Completion
from continuum.progress import Progress
from continuum.records import Interaction
from continuum.rubric import Criterion
from continuum.store.batches import BatchRow, Outcome
from continuum.store.rows import in_batches

if TYPE_CHECKING:
    from continuum.models.batch_endpoint import BatchEndpoint, ProviderBatch, ResultLine
    from continuum.models.wire import Dialect
    from continuum.store.database import Store


PASSING = frozenset({408, 409, 425, 429})
"""Statuses after which the same request may be answered another time, besides those of a server in trouble."""


@dataclass
class Places:
    """Where in a file the line stands that says most about each request."""

    file: IO[bytes]
    of: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By custom id: where the line begins, and its length."""

    def add(self, custom_id: str, raw: bytes) -> None:
        """Keep a line, if it says more than what is known."""
        known = self.of.get(custom_id)
        if known is not None and rank(self.read(*known)) >= rank(raw):
            return
        start = self.file.seek(0, 2)
        self.file.write(raw)
        self.of[custom_id] = (start, len(raw))

    def read(self, start: int, length: int) -> bytes:
        """One line."""
        self.file.seek(start)
        return self.file.read(length)


def rank(raw: bytes) -> tuple[bool, bool, bool, bytes]:
    """How much a line says of its request: an answer, a usage, a status; equal ones by their hash, so that order is nothing."""
    from continuum.models.batch_endpoint import result_in

    line = result_in(raw)
    return (
        line is not None and line.answer is not None,
        line is not None and line.usage is not None,
        line is not None and line.status is not None,
        hashlib.sha256(raw).digest(),
    )


@dataclass
class Reading:
    """Result lines of one batch, read as what the judge said."""

    row: BatchRow
    judge: EndpointJudge
    criteria: tuple[Criterion, ...]
    now: Clock
    learned: "Dialect"
    """How the endpoint is spoken to, without what it complained of."""

    def outcomes(self, store: "Store", lines: Mapping[str, bytes], pending: Mapping[str, Sequence[str]]) -> list[Outcome]:
        """What became of some requests, each with the annotations of the interactions it stands for."""
        from continuum.models.batch_endpoint import result_in

        found = store.interactions.get_many(one for custom_id in lines for one in pending[custom_id])
        outcomes = []
        for custom_id, raw in lines.items():
            line = result_in(raw)
            about = [found[one] for one in pending[custom_id] if one in found]
            outcomes.append(Outcome(custom_id, "unanswered", None) if line is None else self.outcome(line, about))
        return outcomes

    def outcome(self, line: "ResultLine", about: Sequence[Interaction]) -> Outcome:
        """What became of one request."""
        cost = self._cost_micro_usd(line)
        if line.status != 200:
            return Outcome(line.custom_id, self._without_answer(line), cost)
        completion = self._completion(line)
        if not about:
            return Outcome(line.custom_id, "gone", cost)
        if completion is None or completion.parsed is None:
            return Outcome(line.custom_id, "unreadable", cost)
        first = about[0]
        assert first.response is not None  # noqa: S101 - it was asked about
        _, ordered = judge_messages(first.messages, first.response, self.criteria)
        asked = Asked(completion.parsed, (cost or 0) / 1e6, completion.served_by)
        judgement = judgement_read(first.messages, first.response, ordered, asked)
        content = replace(content_of(self.judge, first.messages, first.response, self.criteria), key=line.custom_id)
        kept = {name: value for name, value in asdict(judgement).items() if name != "cached"}
        whose = self.row.judge, self.row.rubric, self.row.detail.get("role", "selecting")
        said = [
            annotation_of(*whose, interaction, judgement if n == 0 else replace(judgement, cost_usd=0.0), self.now())
            for n, interaction in enumerate(about)
        ]
        return Outcome(line.custom_id, "judged", cost, content, kept, said)

    def _completion(self, line: "ResultLine") -> Completion | None:
        if line.answer is None:
            return None
        try:
            return self.judge.model.completion(line.answer, answer_form(self.criteria))
        except (AttributeError, TypeError, ValueError):
            return None  # The client checks nothing of what a provider sends.

    def _cost_micro_usd(self, line: "ResultLine") -> int | None:
        from continuum.models.batch_endpoint import BATCH_PRICE

        if line.usage is None:
            # An answer without a usage may cost all that is reserved; where there is no answer there is no charge.
            return None if line.status == 200 else 0
        return in_micro_usd((self.judge.model.cost_usd(line.usage) or 0.0) * BATCH_PRICE)

    def _without_answer(self, line: "ResultLine") -> str:
        if line.status is None:
            return "returned"
        if line.status in PASSING or line.status >= 500:
            return "unanswered"
        if line.status == 400 and self.judge.model.dialect.without_what(line.complaint):
            self.learned = self.learned.without_what(line.complaint) or self.learned
            return "returned"
        return "refused"


async def settle_results(
    store: "Store",
    endpoint: "BatchEndpoint",
    row: BatchRow,
    provider: "ProviderBatch",
    judge: EndpointJudge,
    *,
    now: Clock,
    on_progress: Progress,
) -> Tally:
    """Settle every request of a batch that has ended.

    Raises:
        JudgeError: a result file could not be read to its end; what is settled stays so, and the next call goes on.
    """
    pending = await asyncio.to_thread(store.batches.pending, row.id)
    tally = Tally()
    reading = Reading(row, judge, criteria_of(row), now, judge.model.dialect)

    async def settled(outcomes: Sequence[Outcome]) -> None:
        for outcome, spent in await asyncio.to_thread(store.batches.settle, row, outcomes, now()):
            tally.add(outcome, spent)
        on_progress(tally.outcomes.total(), len(pending), f"settling a batch of {row.task}")

    with TemporaryFile() as file:  # Without a name: what was said is not left on the disk, however this ends.
        places = Places(file)
        complete = await _downloaded(endpoint, provider, pending, places, tally)
        for some in in_batches(places.of, AT_ONCE):
            lines = {one: places.read(*places.of[one]) for one in some}
            await settled(await asyncio.to_thread(reading.outcomes, store, lines, pending))
    # Where lines were lost, or the provider says that it did all and shows less, nobody knows what became of a request
    # without a line, and what is reserved for it counts as spent. Otherwise it was not worked on.
    lost = not complete or tally.unreadable_lines > 0 or provider.status == "completed"
    for some in in_batches((one for one in pending if one not in places.of), AT_ONCE):
        await settled([Outcome(one, "unanswered", None) if lost else Outcome(one, "returned") for one in some])
    if reading.learned != judge.model.dialect:
        store.batches.note(row.id, now(), dialect=asdict(reading.learned))
    return tally


async def _downloaded(
    endpoint: "BatchEndpoint", provider: "ProviderBatch", wanted: Mapping[str, object], places: Places, tally: Tally
) -> bool:
    """Read the result files; False where one that the provider names is not there."""
    from continuum.models.batch_endpoint import BatchGone, result_in

    complete = True
    for file_id in filter(None, (provider.output_file, provider.error_file)):
        try:
            async for raw in endpoint.lines(file_id):
                line = result_in(raw)
                if line is None:
                    tally.unreadable_lines += 1
                elif line.custom_id not in wanted:
                    tally.unknown_lines += 1
                else:
                    places.add(line.custom_id, raw)
        except BatchGone:
            complete = False
    return complete
