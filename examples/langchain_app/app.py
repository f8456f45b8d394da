"""A LangChain chain whose model calls are captured by a callback."""

import sys
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.prompts import ChatPromptTemplate

from continuum import feedback
from continuum.signals.recording import Recording, Unsampled, begin
from continuum.signals.subject import Subject


class Capture(BaseCallbackHandler):
    """Makes an interaction of each call of a chat model; calls may run side by side."""

    def __init__(self, task: str) -> None:
        self.subject = Subject(task)
        self.interaction_id = ""
        """Of the call that ended last; empty before there is one."""
        self._running: dict[UUID, Recording | Unsampled] = {}

    def on_chat_model_start(self, serialized: Any, messages: list[list[BaseMessage]], *, run_id: UUID, **named: Any) -> None:
        """A model is asked."""
        self._running[run_id] = begin(self.subject, (), {"messages": convert_to_openai_messages(messages[0])})

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **named: Any) -> None:
        """It has answered."""
        generation = response.generations[0][0]
        recording = self._ended(run_id)
        recording.end(completion(generation) if isinstance(generation, ChatGeneration) else generation.text)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **named: Any) -> None:
        """It has failed."""
        self._ended(run_id).fail(error)

    def _ended(self, run_id: UUID) -> Recording | Unsampled:
        recording = self._running.pop(run_id)
        self.interaction_id = recording.id
        return recording


def completion(generation: ChatGeneration) -> dict[str, Any]:
    """An answer of LangChain's in the form that capture reads: a chat completion."""
    message = generation.message
    about, usage = message.response_metadata, getattr(message, "usage_metadata", None) or {}
    return {
        "object": "chat.completion",
        "id": about.get("id"),
        "model": about.get("model_name"),
        "choices": [{"index": 0, "message": convert_to_openai_messages(message), "finish_reason": about.get("finish_reason")}],
        "usage": {"prompt_tokens": usage.get("input_tokens"), "completion_tokens": usage.get("output_tokens")},
    }


PROMPT = ChatPromptTemplate.from_messages([("system", "You answer for a parcel service."), ("user", "{question}")])
MODEL = FakeListChatModel(responses=["It arrives on Monday.", "Your refund takes five days.", "I do not know."])


def answer(question: str, capture: Capture, model: BaseChatModel = MODEL) -> str:
    """Run the chain, captured."""
    return (PROMPT | model).invoke({"question": question}, config={"callbacks": [capture]}).text


def main() -> None:
    """Answer the question of the command line, and record that it was well answered."""
    capture = Capture("support")
    print(answer(" ".join(sys.argv[1:]) or "Where is my order?", capture))
    feedback.record_sync(capture.interaction_id, score=5)


if __name__ == "__main__":
    main()
