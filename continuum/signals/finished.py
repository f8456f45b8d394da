"""The interaction that a finished recording is; made in the spool's thread, where its price is looked up too."""

from typing import TYPE_CHECKING

from continuum.records import Interaction, Message
from continuum.spool.cleaning import Snapshot, clean_text, id_text
from continuum.spool.forms import Answer

if TYPE_CHECKING:
    from continuum.signals.recording import ModelCall, Recording

RETURNED_LENGTH = 2000
"""Characters kept, as a tag, of what the function returned where that is not what the model said."""


def interaction_of(recording: "Recording") -> Interaction:
    """The interaction: asked and answered by the last model call inside, or else by the arguments and the returned value."""
    call = recording.calls[-1] if recording.calls else None
    snapshot = Snapshot()
    said = returned_text(recording)
    answer = answer_of(recording, call, said, snapshot)
    read, written = tokens_of(recording, answer)
    tags = dict(recording.tags)
    if said and answer is not None and said != answer.message.get("content"):
        tags["returned"] = clean_text(said, RETURNED_LENGTH)
    if snapshot.truncated or recording.truncated:
        tags["truncated"] = "true"
    return Interaction(
        id=recording.id,
        task=recording.subject.task,
        started_at=recording.started_at,
        messages=tuple(Message.model_validate(message) for message in (call and call.messages) or recording.messages),
        response=None if answer is None else Message.model_validate(answer.message),
        status=recording.status,
        error=recording.error,
        model=id_text((answer and answer.model) or (call and call.model) or recording.subject.model),
        conversation_id=recording.conversation_id,
        user_id=recording.user_id,
        parent_id=recording.parent_id,
        provider_response_id=id_text(answer and answer.response_id),
        latency_ms=recording.latency_ms,
        time_to_first_chunk_ms=recording.first_chunk_ms,
        input_tokens=read,
        output_tokens=written,
        cost_usd=cost_of(recording, answer),
        deployment_id=id_text(call and call.deployment_id),
        variant=id_text(call and call.variant),
        tags=tags,
    )


def returned_text(recording: "Recording") -> str | None:
    """The words that the function returned or yielded; None where it gave no words of its own."""
    if isinstance(recording.returned, str):
        return recording.returned
    return "".join(recording.chunks) if recording.chunks else None


def answer_of(recording: "Recording", call: "ModelCall | None", said: str | None, snapshot: Snapshot) -> Answer | None:
    """The model's own words where they are known, or else what the function returned."""
    answer = call.answered(snapshot) if call else None
    if answer is None and isinstance(recording.returned, Answer):
        answer = recording.returned
    if answer is None and recording.chunk_stream is not None:
        answer = recording.chunk_stream.answer(snapshot)
    if answer is None and said is not None:
        answer = Answer({"role": "assistant", "content": said})
    return answer


def answers_of(recording: "Recording", answer: Answer | None) -> list[tuple[Answer, str | None, str | None]]:
    """All answers that were paid for: each with the model that was asked for and the endpoint."""
    answered = [(found, call.model, call.base_url) for call in recording.calls if (found := call.answered(Snapshot()))]
    return answered or ([] if answer is None else [(answer, recording.subject.model, None)])


def tokens_of(recording: "Recording", answer: Answer | None) -> tuple[int | None, int | None]:
    """Tokens in and out over all model calls; None where no call reported any."""
    answers = [paid for paid, _, _ in answers_of(recording, answer)]
    read = [paid.input_tokens for paid in answers if paid.input_tokens is not None]
    written = [paid.output_tokens for paid in answers if paid.output_tokens is not None]
    return (sum(read) if read else None), (sum(written) if written else None)


def cost_of(recording: "Recording", answer: Answer | None) -> float | None:
    """US dollars over all model calls; None where one of them has no known price."""
    from continuum.models.chat import Usage
    from continuum.models.pricing import price_usd  # its table of prices is loaded at the first call

    total: float | None = None
    for paid, asked, base_url in answers_of(recording, answer):
        model = paid.model or asked
        if paid.input_tokens is None or paid.output_tokens is None or model is None:
            continue
        price = price_usd(model, Usage(paid.input_tokens, paid.output_tokens), base_url)
        if price is None:
            return None
        total = (total or 0.0) + price
    return total
