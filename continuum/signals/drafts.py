"""What a captured call's draft says of the model: the answer of its last call, and what all calls took."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from continuum.spool.cleaning import Snapshot
from continuum.spool.forms import NO_TOKENS, Answer, Tokens

if TYPE_CHECKING:
    from continuum.signals.recording import Recording

RETURNED_LENGTH = 2000
"""Characters kept, as a tag, of what the function returned where that is not what the model said."""
USUAL_REASONS = {None, "stop", "tool_calls", "function_call"}
"""Why models stop when all is well; any other reason becomes a tag."""


def tell_what_was_said(recording: "Recording") -> None:
    """Add the answer of the last model call, or else what the function returned or yielded, and what all model calls took."""
    draft, tags, subject = recording.draft, recording.tags, recording.subject
    if recording.chunks:
        recording.said = "".join(recording.chunks)
    said = recording.said
    call = recording.calls[-1] if recording.calls else None
    answered = [(found, one) for one in recording.calls if (found := one.answered()) is not None]
    answer = answered[-1][0] if answered and answered[-1][1] is call else recording.answer
    if answer is None and recording.chunk_stream is not None:
        answer = recording.chunk_stream.answer(Snapshot())
    if answer is None and said is not None:
        answer = Answer({"role": "assistant", "content": said})
    if call is not None:
        tags.update(call.tags)
        draft["messages"] = call.messages or draft["messages"]
        draft["conversation_id"] = draft["conversation_id"] or call.conversation_id
        draft["deployment_id"], draft["variant"] = call.deployment_id, call.variant
    draft["model"] = (answer and answer.model) or (call and call.model) or subject.model
    if answer is not None:
        draft["response"], draft["provider_response_id"] = answer.message, answer.response_id
        if said and said != answer.message.get("content"):
            tags["returned"] = said[:RETURNED_LENGTH]
        if answer.finish_reason not in USUAL_REASONS:
            tags["finish_reason"] = str(answer.finish_reason)
    paid = [(found, one.model, one.base_url) for found, one in answered]
    if not paid and answer is not None:
        paid = [(answer, subject.model, None)]
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
