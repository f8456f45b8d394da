import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI, NotFoundError

from continuum.deployment.backends.batching import Adapter, HotModel
from continuum.deployment.backends.local_server import LocalServer
from continuum.deployment.deployer import ModelDeployer
from continuum.errors import ConfigurationError, DeploymentError
from continuum.models.chat import Usage
from continuum.records import FunctionCall, Message, ToolCall
from continuum.serving_records import DeploymentState
from continuum.store.database import Store
from tests.builders import user
from tests.deployment.conftest import MakeCheckpoint


@dataclass(frozen=True)
class Said:
    message: Message
    usage: Usage


class ScriptedEngine:
    """Says which adapter was asked what, and notes how it was called."""

    def __init__(self, base_model: str = "tiny") -> None:
        self.base_model = base_model
        self.loaded: dict[str, Path] = {}
        self.batches: list[list[str | None]] = []
        self.running = 0
        self.unloadable: set[str] = set()
        self.go_on = threading.Event()
        self.go_on.set()

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(self.loaded)

    def load_adapter(self, name: str, folder: Path) -> None:
        if name in self.unloadable:
            raise ConfigurationError(f"the adapter at {folder} does not fit the base model {self.base_model}")
        self.loaded[name] = folder

    def unload_adapter(self, name: str) -> None:
        self.loaded.pop(name, None)

    def answer(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: str | Sequence[str | None] | None = None,
        max_new_tokens: int = 96,
        batch_size: int = 64,
    ) -> list[Said]:
        assert isinstance(adapter, list)
        assert set(adapter) <= set(self.loaded), "asked before it was loaded"
        self.running += 1
        assert self.running == 1, "two calls of one engine at a time"
        self.go_on.wait(5)
        self.running -= 1
        self.batches.append(adapter)
        return [self._say(name, asked) for name, asked in zip(adapter, conversations, strict=True)]

    def _say(self, name: str | None, asked: Sequence[Message]) -> Said:
        if "weather" in asked[-1].text:
            call = ToolCall(id="call-1", function=FunctionCall(name="weather", arguments='{"town": "Delft"}'))
            return Said(Message(role="assistant", tool_calls=(call,)), Usage(5, 9))
        return Said(Message(role="assistant", content=f"{name} was asked: {asked[-1].text}"), Usage(5, 9))


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def server(store: Store, engine: ScriptedEngine) -> AsyncIterator[LocalServer]:
    async with LocalServer(store, open_engine=lambda base_model: engine) as opened:
        yield opened


@pytest.fixture
async def openai(server: LocalServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


async def post(server: LocalServer, path: str, body: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(server.base_url + path, json=body) as response:
        return response.status, await response.text()


def asking(question: str) -> Any:
    return [{"role": "user", "content": question}]


async def test_a_checkpoint_answers_under_its_name(
    openai: AsyncOpenAI, engine: ScriptedEngine, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint(3)
    completion = await openai.chat.completions.create(model="support-v3", messages=asking("hello"))
    assert completion.choices[0].message.content == "support-v3 was asked: hello"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (5, 9)
    assert engine.loaded == {"support-v3": Path(checkpoint.uri)}
    assert [model.id async for model in openai.models.list()] == ["support-v3"]


async def test_a_page_from_elsewhere_cannot_ask_by_a_name_that_it_had_point_here(
    server: LocalServer, engine: ScriptedEngine, a_checkpoint: MakeCheckpoint
) -> None:
    a_checkpoint()
    asked = {"model": "support-v1", "messages": asking("hello")}
    async with aiohttp.ClientSession() as session:
        for host, status in (("evil.example:8790", 403), ("localhost:8790", 200)):
            async with session.post(f"{server.base_url}/chat/completions", json=asked, headers={"host": host}) as response:
                assert response.status == status
    assert len(engine.batches) == 1


async def test_an_answer_comes_as_a_stream_with_usage_when_asked(openai: AsyncOpenAI, a_checkpoint: MakeCheckpoint) -> None:
    a_checkpoint()
    stream = await openai.chat.completions.create(
        model="support-v1", messages=asking("  two  spaces "), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    words = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert words == "support-v1 was asked:   two  spaces "
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_call_is_answered_in_openai_form(openai: AsyncOpenAI, a_checkpoint: MakeCheckpoint, stream: bool) -> None:
    a_checkpoint()
    if stream:
        pieces = await openai.chat.completions.create(model="support-v1", messages=asking("weather?"), stream=True)
        chunks = [chunk async for chunk in pieces]
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
        functions, end = [call.function for call in calls], chunks[-1].choices[0].finish_reason
    else:
        completion = await openai.chat.completions.create(model="support-v1", messages=asking("weather?"))
        calls = completion.choices[0].message.tool_calls or ()
        functions, end = [call.function for call in calls if call.type == "function"], completion.choices[0].finish_reason
    assert [(function.name, function.arguments) for function in functions if function] == [("weather", '{"town": "Delft"}')]
    assert end == "tool_calls"


async def test_an_answer_as_long_as_was_allowed_is_marked_as_cut(openai: AsyncOpenAI, a_checkpoint: MakeCheckpoint) -> None:
    a_checkpoint()
    completion = await openai.chat.completions.create(model="support-v1", messages=asking("hello"), max_tokens=9)
    assert completion.choices[0].finish_reason == "length"


@pytest.mark.parametrize("name", ["support-v9", "gpt-4", "../../etc/passwd", "a\x00b", "support-v1 ", ""])
async def test_a_model_that_the_store_does_not_know_is_not_found(
    openai: AsyncOpenAI, engine: ScriptedEngine, a_checkpoint: MakeCheckpoint, name: str
) -> None:
    a_checkpoint()
    with pytest.raises(NotFoundError):
        await openai.chat.completions.create(model=name, messages=asking("hello"))
    assert engine.loaded == {}


async def test_an_altered_artifact_never_reaches_the_engine(
    server: LocalServer, engine: ScriptedEngine, a_checkpoint: MakeCheckpoint
) -> None:
    (Path(a_checkpoint().uri) / "adapter_model.safetensors").write_bytes(b"other weights")
    status, said = await post(server, "/chat/completions", {"model": "support-v1", "messages": asking("hello")})
    assert status == 500
    assert "altered" in said
    assert engine.loaded == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"messages": ["hello"]},
        {"n": 2},
        {"max_tokens": -1},
        {"max_tokens": "many"},
        {"max_tokens": True},
        {"max_tokens": 0},
    ],
    ids=str,
)
async def test_a_request_that_makes_no_sense_is_refused(
    server: LocalServer, a_checkpoint: MakeCheckpoint, wrong: dict[str, Any]
) -> None:
    a_checkpoint()
    status, said = await post(server, "/chat/completions", {"model": "support-v1", "messages": asking("hello")} | wrong)
    assert status == 400
    assert "error" in said


async def test_adapters_are_loaded_and_unloaded_by_the_routes_of_vllm_but_never_by_path(
    server: LocalServer, engine: ScriptedEngine, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    status, said = await post(server, "/load_lora_adapter", {"lora_name": "support-v1", "lora_path": "/etc"})
    assert (status, said) == (200, "Success: LoRA adapter 'support-v1' added successfully.")
    assert engine.loaded == {"support-v1": Path(checkpoint.uri)}
    status, _ = await post(server, "/unload_lora_adapter", {"lora_name": "support-v1"})
    assert (status, engine.loaded) == (200, {})
    status, _ = await post(server, "/unload_lora_adapter", {"lora_name": "support-v1"})
    assert status == 404
    status, _ = await post(server, "/load_lora_adapter", {"lora_name": "evil", "lora_path": "/etc"})
    assert (status, engine.loaded) == (404, {})


# --- batches -----------------------------------------------------------------------------------------------------------


def adapter(name: str) -> Adapter:
    return Adapter(name, Path(name))


async def test_questions_for_different_adapters_that_come_together_are_answered_together(engine: ScriptedEngine) -> None:
    model = HotModel(engine, linger_s=0.05)
    asked = [(f"question {n}", f"v{n % 3}") for n in range(9)]
    answers = await asyncio.gather(*(model.answer([user(text)], adapter(name), max_new_tokens=8) for text, name in asked))
    assert [answer.message.text for answer in answers] == [f"{name} was asked: {text}" for text, name in asked]
    assert [len(batch) for batch in engine.batches] == [9]


async def test_who_comes_while_the_engine_is_busy_is_answered_in_the_next_batch(engine: ScriptedEngine) -> None:
    model = HotModel(engine, linger_s=0.001)
    await model.load(adapter("v1"))
    engine.go_on.clear()
    first = asyncio.create_task(model.answer([user("first")], adapter("v1"), max_new_tokens=8))
    while not engine.running:
        await asyncio.sleep(0.005)
    later = [asyncio.create_task(model.answer([user(f"later {n}")], adapter("v1"), max_new_tokens=8)) for n in range(5)]
    await asyncio.sleep(0.05)
    engine.go_on.set()
    await asyncio.gather(first, *later)
    assert [len(batch) for batch in engine.batches] == [1, 5]


async def test_a_batch_is_never_larger_than_it_may_be(engine: ScriptedEngine) -> None:
    model = HotModel(engine, max_batch=4, linger_s=0.05)
    await asyncio.gather(*(model.answer([user(f"{n}")], adapter("v1"), max_new_tokens=8) for n in range(10)))
    assert sorted(len(batch) for batch in engine.batches) == [2, 4, 4]


async def test_a_caller_who_goes_away_does_not_take_the_others_along(engine: ScriptedEngine) -> None:
    model = HotModel(engine, linger_s=0.05)
    impatient = asyncio.create_task(model.answer([user("first")], adapter("v1"), max_new_tokens=8))
    patient = asyncio.create_task(model.answer([user("second")], adapter("v1"), max_new_tokens=8))
    await asyncio.sleep(0.02)
    impatient.cancel()
    assert (await patient).message.text == "v1 was asked: second"


async def test_an_adapter_that_cannot_be_loaded_is_nobody_elses_trouble(engine: ScriptedEngine) -> None:
    engine.unloadable = {"broken"}
    model = HotModel(engine, linger_s=0.05)
    good, bad = await asyncio.gather(
        model.answer([user("hello")], adapter("v1"), max_new_tokens=8),
        model.answer([user("hello")], adapter("broken"), max_new_tokens=8),
        return_exceptions=True,
    )
    assert isinstance(bad, ConfigurationError)
    assert isinstance(good, Said)


async def test_the_adapter_longest_not_asked_for_goes_first(engine: ScriptedEngine) -> None:
    model = HotModel(engine, max_batch=1, max_adapters=2, linger_s=0)
    for name in ("v1", "v2", "v1", "v3"):
        await model.answer([user("hello")], adapter(name), max_new_tokens=8)
    assert set(engine.loaded) == {"v1", "v3"}
    assert (await model.answer([user("hello")], adapter("v2"), max_new_tokens=8)).message.text == "v2 was asked: hello"


# --- the deployer before the server --------------------------------------------------------------------------------------


async def test_a_model_is_loaded_before_it_gets_traffic(
    server: LocalServer, engine: ScriptedEngine, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    deployment = await ModelDeployer(store=store, backend_url=server.base_url).deploy(a_checkpoint())
    assert engine.adapters == ("support-v1",)
    assert store.deployments.events(deployment.id)[-1].evidence["backend_ready"] is True


async def test_a_model_that_the_server_cannot_load_gets_no_traffic(
    server: LocalServer, engine: ScriptedEngine, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    engine.unloadable = {"support-v1"}
    with pytest.raises(DeploymentError, match="does not fit the base model"):
        await ModelDeployer(store=store, backend_url=server.base_url).deploy(a_checkpoint())
    assert [deployment.state for deployment in store.deployments.of("support")] == [DeploymentState.ABORTED]


async def test_blue_green_takes_all_of_the_traffic_at_once(
    server: LocalServer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    without_tracker = checkpoint.model_copy(update={"id": "plain", "version": 2, "mlflow_version": None})
    store.checkpoints.add(without_tracker)
    deployment = await ModelDeployer(store=store, backend_url=server.base_url).deploy(
        without_tracker, strategy="blue_green", unguarded=True
    )
    assert (deployment.state, deployment.current_traffic_split) == (DeploymentState.PROMOTING, 1.0)
    assert [event.to_traffic for event in store.deployments.events(deployment.id)] == [0.0, 0.0, 1.0]
