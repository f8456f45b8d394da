"""A LangChain chain whose model calls are captured by a callback."""

import sys

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate

from continuum import feedback, langchain_callback

PROMPT = ChatPromptTemplate.from_messages([("system", "You answer for a parcel service."), ("user", "{question}")])
MODEL = FakeListChatModel(responses=["It arrives on Monday.", "Your refund takes five days.", "I do not know."])


def answer(question: str, callback: BaseCallbackHandler, model: BaseChatModel = MODEL) -> str:
    """Run the chain, captured."""
    return (PROMPT | model).invoke({"question": question}, config={"callbacks": [callback]}).text


def main() -> None:
    """Answer the question of the command line, and record that it was well answered."""
    callback = langchain_callback(task="support")
    print(answer(" ".join(sys.argv[1:]) or "Where is my order?", callback))
    feedback.record_sync(callback.interaction_id, score=5)


if __name__ == "__main__":
    main()
