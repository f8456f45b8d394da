"""The draft that a finished recording leaves to the spool, which makes an interaction of it (see `spool/finishing.py`)."""

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from continuum.spool.cleaning import Snapshot
from continuum.spool.forms import NO_TOKENS, Answer, Tokens

if TYPE_CHECKING:
    from continuum.signals.recording import Recording

RETURNED_LENGTH = 2000
"""Characters kept, as a tag, of what the function returned where that is not what the model said."""
USUAL_REASONS = {None, "stop", "tool_calls", "function_call"}
"""Why models stop when all is well; any other reason becomes a tag."""


def draft_of(recording: "Recording") -> dict[str, Any]:
    """The draft: asked and answered by the last model call inside, or else by the arguments and the returned value."""
    tags = recording.tags
    draft: dict[str, Any] = {
        "id": recording.id,
        "task": recording.subject.task,
        "started_ns": recording.started_ns,
        "messages": recording.messages,
        "status": recording.status,
        "latency_ms": (perf_counter() - recording.start) * 1000,
        "model": recording.subject.model,
        "source": "capture",
        "tags": tags,
        "parent_id": recording.parent_id,
        "conversation_id": recording.conversation_id,
        "user_id": recording.user_id,
    }
    if recording.chunks:
        recording.said = "".join(recording.chunks)
    if recording.calls or recording.answer is not None or recording.chunk_stream is not None:
        tell_what_the_model_said(recording, draft)
    elif recording.said is not None:
        draft["response"] = {"role": "assistant", "content": recording.said}
    if recording.error is not None:
        draft["error"] = recording.error
    if recording.first_chunk_ms is not None:
        draft["time_to_first_chunk_ms"] = recording.first_chunk_ms
    if recording.trace is not None:
        draft["trace"] = recording.trace
    if recording.truncated:
        tags["truncated"] = "true"
    return draft


def tell_what_the_model_said(recording: "Recording", draft: dict[str, Any]) -> None:
    """Add the answer of the last model call, and what all of them took."""
    call = recording.calls[-1] if recording.calls else None
    answered = [(found, one) for one in recording.calls if (found := one.answered()) is not None]
    answer = (answered[-1][0] if answered and answered[-1][1] is call else None) or recording.answer
    if answer is None and recording.chunk_stream is not None:
        answer = recording.chunk_stream.answer(Snapshot())
    if answer is None and recording.said is not None:
        answer = Answer({"role": "assistant", "content": recording.said})
    if call is not None:
        draft["messages"] = call.messages or recording.messages
        draft["conversation_id"] = recording.conversation_id or call.conversation_id
        draft["deployment_id"], draft["variant"] = call.deployment_id, call.variant
        recording.tags.update(call.tags)
    draft["model"] = (answer and answer.model) or (call and call.model) or recording.subject.model
    if answer is not None:
        draft["response"], draft["provider_response_id"] = answer.message, answer.response_id
        if recording.said and recording.said != answer.message.get("content"):
            recording.tags["returned"] = recording.said[:RETURNED_LENGTH]
        if answer.finish_reason not in USUAL_REASONS:
            recording.tags["finish_reason"] = str(answer.finish_reason)
    paid = [(found, one.model, one.base_url) for found, one in answered]
    if not paid and answer is not None:
        paid = [(answer, recording.subject.model, None)]
    draft |= total_tokens([found.tokens for found, _, _ in paid])
    draft["paid"] = [price_tag(*one) for one in paid if one[0].tokens != NO_TOKENS]
    streams = (*recording.calls, recording.chunk_stream)
    recording.truncated |= any(one.truncated for one in streams if one is not None)


def total_tokens(counts: Sequence[Tokens]) -> dict[str, int | None]:
    """Tokens over all model calls; None where no call reported any."""
    totals = {}
    for at, name in enumerate(("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")):
        known = [found for tokens in counts if (found := tokens[at]) is not None]
        totals[name] = sum(known) if known else None
    return totals


def price_tag(answer: Answer, model: str | None, base_url: str | None) -> dict[str, Any]:
    """What the drainer looks the price of a model call up by."""
    tokens = answer.tokens
    return {
        "model": answer.model or model,
        "base_url": base_url,
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cached_tokens": tokens.cached,
    }
