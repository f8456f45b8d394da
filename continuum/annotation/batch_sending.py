"""From the backlog to a file at the provider's batch endpoint: what goes in, what it may cost, and handing it over once.

A batch is written down before anything is sent. Where a process dies between the provider's answer and our note of it, the next
one finds the batch by the id of ours that it carries, and goes on with it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter

from continuum.annotation.annotator import as_annotation
from continuum.config import Settings
from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.cached import judgement_key
from continuum.judging.judge import Judgement
from continuum.judging.model_judge import EndpointJudge, most_tokens
from continuum.judging.prompt import answer_form, judge_messages
from continuum.models.budget import in_micro_usd
from continuum.models.pricing import Price
from continuum.records import Annotation, Interaction, Message
from continuum.rubric import Criterion
from continuum.store.batches import BatchRow, Candidate, Outcome
from continuum.store.judgements import Content, conversation_hash
from continuum.store.rows import in_batches

if TYPE_CHECKING:
    from continuum.models.batch_endpoint import BatchEndpoint, ProviderBatch
    from continuum.store.database import Store

AT_ONCE = 100
"""Requests that are claimed, reserved or settled in one transaction."""
CRITERIA = TypeAdapter(tuple[Criterion, ...])
Clock = Callable[[], datetime]
Role = Literal["selecting", "second"]


@dataclass(frozen=True)
class Request:
    """One request of a batch."""

    interaction: Interaction
    candidate: Candidate
    line: bytes


def request_of(interaction: Interaction, response: Message, judge: EndpointJudge, criteria: Sequence[Criterion]) -> Request:
    """What asks the judge about an interaction's answer, word for word as a live call would."""
    from continuum.models.batch_endpoint import BATCH_PRICE, request_line

    messages, ordered = judge_messages(interaction.messages, response, criteria)
    body, bound_usd = judge.model.asked(messages, max_tokens=most_tokens(ordered), schema=answer_form(ordered))
    content = content_of(judge, interaction.messages, response, criteria)
    bound = in_micro_usd((bound_usd or 0.0) * BATCH_PRICE)
    return Request(interaction, Candidate(interaction.id, content, bound), request_line(content.key, body))


def content_of(
    judge: EndpointJudge, conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion]
) -> Content:
    """What a judgement is kept under, whether a live call or a batch brings it."""
    key = judgement_key(judge.version, conversation, response, criteria)
    return Content(key, conversation_hash(conversation), judge.name)


def annotation_of(
    judge: str, rubric: str, role: Role, interaction: Interaction, judgement: Judgement, at: datetime
) -> Annotation:
    """A judgement as the record that is stored."""
    return as_annotation(interaction, judgement, judge, rubric, at).model_copy(update={"role": role})


def detail_of(judge: EndpointJudge, criteria: Sequence[Criterion], *, role: Role, takes: int | None) -> dict[str, Any]:
    """What a later process needs to go on with a batch: the rubric, how the endpoint is spoken to, and its price."""
    return {
        "role": role,
        "criteria": CRITERIA.dump_python(tuple(criteria), mode="json"),
        "dialect": asdict(judge.model.dialect),
        "price": asdict(judge.model.price) if judge.model.price else None,
        "takes": takes,
    }


def judge_of(row: BatchRow, settings: Settings) -> EndpointJudge:
    """The judge of a batch, with the key of this process's environment."""
    from continuum.models.endpoint import EndpointModel
    from continuum.models.wire import Dialect

    price = row.detail.get("price")
    model = EndpointModel(
        row.judge, base_url=row.base_url, api_key=settings.judge_api_key, price=Price(**price) if price else None
    )
    model.dialect = Dialect(**row.detail["dialect"])
    return EndpointJudge(model)


def criteria_of(row: BatchRow) -> tuple[Criterion, ...]:
    """The rubric of a batch."""
    return CRITERIA.validate_python(row.detail["criteria"])


async def send(store: "Store", endpoint: "BatchEndpoint", row: BatchRow, judge: EndpointJudge, now: Clock) -> bool:
    """Hand a batch over, or find that it was; False where another process is at it, or nothing of it is left to hand over.

    Raises:
        ConfigurationError: the endpoint refuses it for good; what was reserved and claimed is given back.
        JudgeError: the endpoint did not answer; the batch stays, and the next call goes on.
    """
    if not await held(store, row, now):
        return False
    store.batches.sending.add(row.id)
    try:
        row = store.batches.get(row.id) or row  # As it is now, and not as it was when somebody else may have held it.
        provider = await adopted(endpoint, row) if row.state == "sending" else None
        provider = provider or await _begun(store, endpoint, row, judge, now)
        if provider is None:
            store.batches.note(row.id, now(), state="closed", status="empty")
            return False
        store.batches.note(row.id, now(), state="submitted", provider=provider.id, input_file=provider.input_file)
    except ConfigurationError as error:
        give_back(store, row, now())
        store.batches.note(row.id, now(), state="closed", status="refused", error=str(error))
        raise
    finally:
        store.batches.sending.discard(row.id)
        store.batches.let_go(row.id, store.workers.here())
    return True


async def held(store: "Store", row: BatchRow, now: Clock) -> bool:
    """Take the right to hand a batch over; False where another process has it, or another task of this one."""
    worker = await asyncio.to_thread(store.workers.here)
    await asyncio.to_thread(store.workers.settle_dead, now=now)
    return row.id not in store.batches.sending and store.batches.hold(row.id, worker, now())


def give_back(store: "Store", row: BatchRow, at: datetime) -> int:
    """Release all that a batch which never began holds; how many requests that were."""
    pending = store.batches.pending(row.id)
    for some in in_batches(pending, AT_ONCE):
        store.batches.settle(row, [Outcome(custom_id, "returned") for custom_id in some], at)
    return len(pending)


async def adopted(endpoint: "BatchEndpoint", row: BatchRow) -> "ProviderBatch | None":
    """The provider's batch that a dead process may have begun; None when there is none, and none can come any more."""
    found = await endpoint.find(row.id)
    if not found:
        # Without its file a batch that is only now being asked for cannot begin.
        for orphan in await endpoint.files_named(file_name(row)):
            await endpoint.delete_file(orphan)
        found = await endpoint.find(row.id)
    for twin in found[1:]:
        with contextlib.suppress(JudgeError, ConfigurationError):
            await endpoint.cancel(twin.id)
    return found[0] if found else None


async def _begun(
    store: "Store", endpoint: "BatchEndpoint", row: BatchRow, judge: EndpointJudge, now: Clock
) -> "ProviderBatch | None":
    with TemporaryFile() as lines:  # Without a name: what was captured is not left on the disk, however this ends.
        if not await asyncio.to_thread(_write, lines, store, row, judge, now):
            return None
        lines.seek(0)
        store.batches.note(row.id, now(), state="sending")
        uploaded = await endpoint.upload(lines, file_name(row))
    try:
        # An upload takes its time: a machine that slept over it may have been taken for dead, and its batch taken over.
        if not store.batches.hold(row.id, store.workers.here(), now()):
            raise JudgeError(f"batch {row.id} was taken over by another process while it was being uploaded")
        return await endpoint.create(uploaded, row.id)
    except ConfigurationError:
        await endpoint.delete_file(uploaded)
        raise


def _write(lines: IO[bytes], store: "Store", row: BatchRow, judge: EndpointJudge, now: Clock) -> int:
    """Write the requests of a batch to its file; those whose interaction is gone, or reads otherwise by now, are given back."""
    written, criteria = 0, criteria_of(row)
    for some in in_batches(store.batches.pending(row.id).items(), AT_ONCE):
        found = store.interactions.get_many(interaction for _, ids in some for interaction in ids)
        for custom_id, ids in some:
            about = next((found[one] for one in ids if one in found), None)
            request = request_of(about, about.response, judge, criteria) if about and about.response else None
            if request is None or request.candidate.content.key != custom_id:
                store.batches.settle(row, [Outcome(custom_id, "returned")], now())
                continue
            lines.write(request.line)
            written += 1
    return written


def file_name(row: BatchRow) -> str:
    """What the file of a batch is called at the provider."""
    return f"continuum-{row.id}.jsonl"
