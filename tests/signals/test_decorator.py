import asyncio
import inspect
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from continuum.errors import ConfigurationError
from continuum.records import Message
from continuum.signals.current import interaction
from continuum.signals.decorator import capture
from continuum.signals.stats import capture_stats
from continuum.spool.spool import flush
from tests.builders import assistant, user
from tests.signals.conftest import Kept


async def test_a_coroutine_function_is_captured_from_its_argument_and_its_result(kept: Kept) -> None:
    @capture(task="support", model="gpt-4")
    async def handle(message: str) -> str:
        await asyncio.sleep(0.01)
        return "It arrives on Monday."

    assert await handle("Where is my order?") == "It arrives on Monday."

    found = kept.one()
    assert found.id == interaction.id
    assert found.messages == (user("Where is my order?"),)
    assert found.response == assistant("It arrives on Monday.")
    assert (found.status, found.model, found.task, found.source) == ("ok", "gpt-4", "support", "capture")
    assert found.latency_ms is not None
    assert found.latency_ms >= 9
    assert found.tags == {}


def test_a_plain_function_and_the_methods_of_a_class_are_captured(kept: Kept) -> None:
    class Desk:
        @capture(task="support")
        def handle(self, message: str) -> str:
            return f"method: {message}"

        @capture(task="support")
        @staticmethod
        def alone(message: str) -> str:
            return f"static: {message}"

        @capture(task="support")
        @classmethod
        def of_class(cls, message: str) -> str:
            return f"class: {message}"

    desk = Desk()
    answers = [desk.handle("a"), desk.alone("b"), Desk.of_class("c")]

    assert answers == ["method: a", "static: b", "class: c"]
    assert [(one.messages[0].text, one.response.text) for one in kept.all() if one.response] == list(
        zip("abc", answers, strict=True)
    )
    assert all(one.tags == {} for one in kept.all())


async def test_an_asynchronous_method_is_captured(kept: Kept) -> None:
    class Desk:
        @capture(task="support")
        async def handle(self, message: str) -> str:
            return message.upper()

    await Desk().handle("hello")

    assert kept.one().messages == (user("hello"),)


def test_the_decorated_function_keeps_its_name_its_signature_and_its_kind() -> None:
    async def coroutine(message: str) -> str:
        """Says it."""
        return message

    async def async_stream(message: str) -> Any:
        yield message

    def stream(message: str) -> Any:
        yield message

    wrapped = capture(task="support")(coroutine)
    assert (wrapped.__name__, wrapped.__doc__) == ("coroutine", "Says it.")
    assert inspect.signature(wrapped) == inspect.signature(coroutine)
    assert inspect.iscoroutinefunction(wrapped)
    assert inspect.isasyncgenfunction(capture(task="support")(async_stream))
    assert inspect.isgeneratorfunction(capture(task="support")(stream))


def test_the_decorator_may_be_given_the_function_at_once(kept: Kept) -> None:
    captured = capture(lambda message: message, task="support")

    assert captured("hello") == "hello"
    assert kept.one().messages == (user("hello"),)


def test_a_task_name_that_cannot_be_one_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigurationError, match="task name 'no good!'"):
        capture(task="no good!")


def test_what_cannot_be_called_is_refused_where_it_is_decorated() -> None:
    with pytest.raises(ConfigurationError, match="put @capture under @property"):
        capture(cast("Any", property(lambda self: "hello")), task="support")
    with pytest.raises(ConfigurationError, match="capture was given 5, which cannot be called"):
        capture(cast("Any", 5), task="support")


def test_a_conversation_in_openai_form_is_taken_as_it_is(kept: Kept) -> None:
    @capture(task="support")
    def handle(name: str, messages: list[dict[str, Any]], temperature: float = 0.0) -> dict[str, Any]:
        messages.append({"role": "assistant", "content": "changed afterwards"})
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "find", "arguments": "{}"}}],
        }

    handle("shop", [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}], temperature=0.5)

    found = kept.one()
    assert found.messages == (Message(role="system", content="Be kind."), user("Hi"))
    assert found.response is not None
    assert found.response.action == "find({})"
    assert found.tags == {"name": "shop", "temperature": "0.5"}


def test_other_arguments_become_short_tags_and_secrets_do_not(kept: Kept) -> None:
    class Client:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    @capture(task="support")
    def handle(
        message: str, client: Client, options: dict[str, Any], api_key: str, *rest: object, password: str, note: str
    ) -> str:
        return message

    handle("hello", Client(), {"depth": [1, 2]}, "sk-1234", 9, password="x" * 9, note="n" * 1000)

    tags = kept.one().tags
    assert tags["client"] == "<Client without a repr>"
    assert tags["options"] == '{"depth": [1, 2]}'
    assert tags["rest"] == "9"
    assert len(tags["note"]) == 200
    assert set(tags) == {"client", "options", "rest", "note"}


def test_secrets_inside_of_arguments_do_not_become_tags(kept: Kept) -> None:
    @dataclass
    class Login:
        user: str
        password: str

    @capture(task="support")
    def handle(message: str, options: dict[str, Any], login: Login) -> str:
        return message

    headers = {"Authorization": "Bearer sk-1", "X-Api-Key": "sk-2", "accept": "json"}
    handle(
        "hello",
        {"api_key": "sk-3", "tries": [{"accessToken": "sk-4", "max_tokens": 5}], "headers": headers},
        Login("bob", "sk-5"),
    )

    assert kept.one().tags == {
        "options": '{"tries": [{"max_tokens": 5}], "headers": {"accept": "json"}}',
        "login": '{"user": "bob"}',
    }


@pytest.mark.parametrize(
    ("returned", "words"),
    [({"total": 3}, '{"total": 3}'), (7, "7"), ([1, "a"], '[1, "a"]'), (b"raw", "raw"), ("", "")],
    ids=["dict", "number", "list", "bytes", "nothing to say"],
)
def test_what_is_not_text_is_kept_as_json(kept: Kept, returned: object, words: str) -> None:
    capture(lambda message: returned, task="support")("hello")

    assert kept.one().response == assistant(words)


def test_a_function_that_returns_nothing_has_no_response(kept: Kept) -> None:
    capture(lambda message: None, task="support")("hello")

    assert kept.one().response is None


def test_a_secret_that_comes_first_is_not_taken_for_the_message(kept: Kept) -> None:
    capture(lambda api_key, keyword: keyword, task="support")("sk-1234", "refund")

    found = kept.one()
    assert found.messages == (user("refund"),)
    assert "sk-1234" not in found.model_dump_json()


def test_an_error_that_cannot_be_spelled_is_noted_all_the_same(kept: Kept) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    def handle(message: str) -> str:
        raise Mute

    with pytest.raises(Mute):
        capture(handle, task="support")("hello")

    assert kept.one().error == "Mute: <Mute without a str>"


def test_an_exception_rises_and_is_noted(kept: Kept) -> None:
    @capture(task="support")
    def handle(message: str) -> str:
        raise ValueError("no such order")

    with pytest.raises(ValueError, match="no such order"):
        handle("hello")

    found = kept.one()
    assert (found.status, found.error, found.response) == ("error", "ValueError: no such order", None)
    assert found.messages == (user("hello"),)


async def test_a_cancelled_call_is_noted_as_cancelled(kept: Kept) -> None:
    @capture(task="support")
    async def handle(message: str) -> str:
        await asyncio.sleep(60)
        return message

    task = asyncio.create_task(handle("hello"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert kept.one().status == "cancelled"


async def test_nested_calls_name_their_parent_also_under_gather(kept: Kept) -> None:
    @capture(task="support")
    async def inner(message: str) -> str:
        await asyncio.sleep(0.001)
        return interaction.id

    @capture(task="support")
    async def outer(message: str) -> list[str]:
        before = interaction.id
        ids = list(await asyncio.gather(*(inner(f"{message} {n}") for n in range(5))))
        ids.append(await inner("alone"))
        assert interaction.id == before
        return ids

    ids = await outer("go")

    found = {one.id: one for one in kept.all()}
    assert len(found) == 7
    assert found[interaction.id].parent_id is None
    assert {found[inner_id].parent_id for inner_id in ids} == {interaction.id}
    assert [found[inner_id].messages[0].text for inner_id in ids] == [*(f"go {n}" for n in range(5)), "alone"]


async def test_a_function_that_returns_a_coroutine_is_captured_to_its_end(kept: Kept) -> None:
    async def later(message: str) -> str:
        return interaction.id

    captured = capture(lambda message: later(message), task="support")

    assert await captured("hello") == kept.one().id
    assert kept.one().response == assistant(kept.one().id)


def test_hostile_values_are_made_fit_to_store(kept: Kept) -> None:
    @capture(task="support")
    def handle(message: str, number: float) -> str:
        return "nul \x00 and surrogate \ud800"

    handle("bad \x00\udfff", float("nan"))

    found = kept.one()
    assert found.messages[0].text == "bad \ufffd\ufffd"
    assert found.response is not None
    assert found.response.text == "nul \ufffd and surrogate \ufffd"
    assert found.tags == {"number": "null"}


def test_a_huge_payload_is_cut_and_marked(kept: Kept) -> None:
    capture(lambda message: "b" * 3_000_000, task="support")("a" * 3_000_000)

    found = kept.one()
    assert len(found.messages[0].text) == 1_000_001
    assert found.response is not None
    assert len(found.response.text) == 1_000_001
    assert found.tags == {"truncated": "true"}


def test_arguments_that_break_the_capture_do_not_break_the_call(kept: Kept) -> None:
    class Trap(dict[str, Any]):
        def get(self, *_: object) -> Any:
            raise RuntimeError("trap")

        def __getitem__(self, key: str) -> Any:
            raise RuntimeError("trap")

        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("trap")

    trap = Trap(role="user")

    assert capture(lambda messages: trap, task="support")([trap]) is trap
    assert kept.one().messages == ()


def test_the_store_being_down_is_nothing_to_the_application(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Kept
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", f"sqlite:///{tmp_path / 'file' / 'continuum.db'}")
    before = capture_stats()
    captured = capture(lambda message: message, task="support")

    began = time.perf_counter()
    assert [captured(f"call {n}") for n in range(50)] == [f"call {n}" for n in range(50)]
    assert time.perf_counter() - began < 2
    assert not flush(1)
    stats = capture_stats()
    assert stats.pending == 50
    assert stats.captured == before.captured + 50
    assert "cannot be opened" in (stats.last_error or "")

    monkeypatch.delenv("CONTINUUM_DATABASE_URL")
    assert [one.messages[0].text for one in kept.all()] == [f"call {n}" for n in range(50)]
    assert capture_stats().stored == before.stored + 50


def test_threads_capture_side_by_side_without_mixing(kept: Kept) -> None:
    @capture(task="support")
    def handle(message: str) -> str:
        time.sleep(0.001)
        return f"{message} {interaction.id}"

    def work(worker: int) -> None:
        for n in range(20):
            handle(f"{worker}-{n}")

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = kept.all()
    assert len(found) == 160
    assert all(one.response is not None and one.response.text == f"{one.messages[0].text} {one.id}" for one in found)
    assert all(one.parent_id is None for one in found)
