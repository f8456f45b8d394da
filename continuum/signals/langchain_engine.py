"""The callback itself; LangChain catches whatever goes wrong in it, so nothing of it reaches the application."""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from continuum.signals.recording import Recording, Unsampled, begin
from continuum.signals.subject import Subject


class LangChainCapture(BaseCallbackHandler):
    """Makes an interaction of each call of a model; calls may run side by side."""

    # On the event loop's own thread: what `continuum.context` says is known there, and a capture takes microseconds.
    run_inline = True

    def __init__(self, task: str, *, model: str | None = None, sample_rate: float | None = None) -> None:
        self.subject = Subject(task, model=model, sample_rate=sample_rate)
        self.interaction_id = ""
        """Of the call that ended last; empty before there is one."""
        self._running: dict[UUID, Recording | Unsampled] = {}

    def on_chat_model_start(self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **named: Any) -> None:
        """A chat model is asked."""
        self._begin(run_id, convert_to_openai_messages(messages[0]), named)

    def on_llm_start(self, serialized: Any, prompts: list[str], *, run_id: UUID, **named: Any) -> None:
        """A model that completes text is asked."""
        self._begin(run_id, [{"role": "user", "content": prompts[0]}], named)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **named: Any) -> None:
        """A piece of its answer has come."""
        recording = self._running.get(run_id)
        if isinstance(recording, Recording):
            recording.note_first_chunk()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **named: Any) -> None:
        """It has answered."""
        generation = next((one for row in response.generations for one in row), None)
        self._ended(run_id).end(None if generation is None else completion(generation))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **named: Any) -> None:
        """It has failed."""
        self._ended(run_id).fail(error)

    def _begin(self, run_id: UUID, messages: Any, named: dict[str, Any]) -> None:
        recording = self._running[run_id] = begin(self.subject, (), {"messages": messages})
        model = (named.get("metadata") or {}).get("ls_model_name")
        if isinstance(recording, Recording) and self.subject.model is None and isinstance(model, str):
            recording.draft["model"] = model

    def _ended(self, run_id: UUID) -> Recording | Unsampled:
        recording = self._running.pop(run_id)
        self.interaction_id = recording.id
        return recording


def completion(generation: Generation) -> Any:
    """An answer of LangChain's in a form that capture reads: a chat completion, or its text where it is no more."""
    if not isinstance(generation, ChatGeneration):
        return generation.text
    message = generation.message
    about, usage = message.response_metadata, getattr(message, "usage_metadata", None) or {}
    return {
        "object": "chat.completion",
        "id": about.get("id"),
        "model": about.get("model_name"),
        "choices": [{"index": 0, "message": convert_to_openai_messages(message), "finish_reason": about.get("finish_reason")}],
        "usage": {"prompt_tokens": usage.get("input_tokens"), "completion_tokens": usage.get("output_tokens")},
    }
