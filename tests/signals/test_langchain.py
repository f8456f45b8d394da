"""The callback that captures what a LangChain application asks its models."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.language_models import FakeListChatModel, FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import LLMResult

import continuum
from continuum.errors import ConfigurationError, MissingExtra
from continuum.records import Interaction
from tests.signals.conftest import Kept


class Failing(GenericFakeChatModel):
    def _generate(self, *args: Any, **named: Any) -> Any:
        raise TimeoutError("the model took too long")


def an_answer(**about: Any) -> Iterator[AIMessage]:
    usage = {"input_tokens": 40, "output_tokens": 12, "total_tokens": 52}
    yield AIMessage("Tomorrow.", usage_metadata=usage, response_metadata=about)


def words(interaction: Interaction) -> tuple[list[str | None], str | None]:
    return [one.text for one in interaction.messages], interaction.response and interaction.response.text


def test_a_chat_models_call_is_an_interaction_with_its_tokens_and_its_id(kept: Kept) -> None:
    callback = continuum.langchain_callback("support")
    model = GenericFakeChatModel(messages=an_answer(id="resp-1", model_name="gpt-4o-mini", finish_reason="stop"))

    with continuum.context(conversation_id="c1", user_id="ada"):
        model.invoke("When?", config={"callbacks": [callback]})

    found = kept.one()
    assert (found.id, found.task, words(found)) == (callback.interaction_id, "support", (["When?"], "Tomorrow."))
    assert (found.model, found.input_tokens, found.output_tokens, found.provider_response_id) == ("gpt-4o-mini", 40, 12, "resp-1")
    assert found.conversation_id == "c1"


async def test_calls_that_run_side_by_side_keep_their_own_answers_and_conversations(kept: Kept) -> None:
    callback = continuum.langchain_callback("support", model="parrot")

    async def ask(number: int) -> None:
        with continuum.context(conversation_id=f"c{number}"):
            await FakeListChatModel(responses=[f"answer {number}"]).ainvoke(
                f"question {number}", config={"callbacks": [callback]}
            )

    await asyncio.gather(*(ask(number) for number in range(8)))

    found = kept.all()
    assert sorted((words(one), one.conversation_id) for one in found) == [
        (([f"question {n}"], f"answer {n}"), f"c{n}") for n in range(8)
    ]
    assert {one.model for one in found} == {"parrot"}


def test_a_stream_is_one_interaction_that_knows_when_its_first_piece_came(kept: Kept) -> None:
    callback = continuum.langchain_callback("support")

    pieces = list(FakeListChatModel(responses=["Hello"]).stream("Hi", config={"callbacks": [callback]}))

    assert len(pieces) >= 5
    assert words(kept.one()) == (["Hi"], "Hello")
    assert kept.one().time_to_first_chunk_ms is not None


def test_a_model_that_completes_text_is_captured_prompt_by_prompt(kept: Kept) -> None:
    callback = continuum.langchain_callback("support")

    FakeListLLM(responses=["one", "two"]).batch(["first", "second"], config={"callbacks": [callback], "max_concurrency": 1})

    assert sorted(words(one) for one in kept.all()) == [(["first"], "one"), (["second"], "two")]


def test_a_call_that_fails_fails_as_before_and_is_kept_with_its_error(kept: Kept) -> None:
    callback = continuum.langchain_callback("support")

    with pytest.raises(TimeoutError):
        Failing(messages=iter([])).invoke("Why?", config={"callbacks": [callback]})

    found = kept.one()
    assert (found.status, found.error) == ("error", "TimeoutError: the model took too long")


def test_an_answer_without_any_generation_ends_its_call(kept: Kept) -> None:
    callback, run_id = continuum.langchain_callback("support"), UUID(int=7)
    callback.on_chat_model_start({}, [[HumanMessage("Why?")]], run_id=run_id)

    callback.on_llm_end(LLMResult(generations=[]), run_id=run_id)

    assert kept.one().id == callback.interaction_id
    assert kept.one().response is None


def test_nothing_is_captured_where_nothing_is_to_be(kept: Kept) -> None:
    callback = continuum.langchain_callback("support", sample_rate=0)

    assert FakeListChatModel(responses=["Hello"]).invoke("Hi", config={"callbacks": [callback]}).text == "Hello"

    assert kept.all() == []


def test_a_bad_name_is_refused_and_a_missing_package_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="task name 'no name'"):
        continuum.langchain_callback("no name")

    monkeypatch.delitem(sys.modules, "continuum.signals.langchain_engine", raising=False)
    for name in [one for one in sys.modules if one.partition(".")[0] == "langchain_core"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "langchain_core", None)
    with pytest.raises(
        MissingExtra, match=r"needs the package 'langchain_core'; install it with: pip install 'continuum-ai\[langchain\]'"
    ):
        continuum.langchain_callback("support")
