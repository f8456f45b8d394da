import io
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pydantic import SecretStr

from continuum.errors import ConfigurationError, JudgeError
from continuum.models.batch_endpoint import (
    LONGEST_LINE,
    BatchEndpoint,
    BatchGone,
    ResultLine,
    lines_of,
    request_line,
    result_in,
)
from continuum.models.chat import Usage
from continuum.models.endpoint import EndpointModel
from tests.stub_batch import StubBatch, refused, stub_batch
from tests.stub_endpoint import completion, stub_endpoint

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Wie geht’s?"}]}


def endpoint(base_url: str, key: str | None = "key") -> BatchEndpoint:
    return BatchEndpoint(EndpointModel("m", base_url=base_url, api_key=SecretStr(key) if key else None, timeout_s=5))


def requests(count: int) -> io.BytesIO:
    return io.BytesIO(b"".join(request_line(f"{n:064x}", ASKED) for n in range(count)))


async def results(provider: BatchEndpoint, file_id: str | None) -> list[ResultLine | None]:
    assert file_id is not None
    return [result_in(line) async for line in provider.lines(file_id)]


@pytest.fixture
async def stub() -> AsyncIterator[StubBatch]:
    async with stub_batch(lambda _: completion("Gut", given=7, said=2)) as served:
        yield served


async def test_a_batch_goes_out_as_a_file_and_comes_back_as_lines(stub: StubBatch) -> None:
    async with endpoint(stub.base_url) as provider:
        uploaded = await provider.upload(requests(3), "requests.jsonl")
        batch = await provider.create(uploaded, "ours")
        assert (batch.status, batch.input_file, batch.ended) == ("validating", uploaded, False)
        statuses = []
        while not batch.ended:
            batch = await provider.look(batch.id)
            statuses.append(batch.status)
        lines = await results(provider, batch.output_file)

    assert statuses == ["in_progress", "finalizing", "completed"]
    assert (batch.answered, batch.requests, batch.error_file, batch.faults) == (3, 3, None, ())
    assert sorted(line.custom_id for line in lines if line) == [f"{n:064x}" for n in range(3)]
    assert all(line and line.usage == Usage(7, 2) and line.status == 200 for line in lines)
    assert stub.spoken == [ASKED] * 3


async def test_a_batch_is_found_by_our_id_whatever_else_is_there(stub: StubBatch) -> None:
    async with endpoint(stub.base_url) as provider:
        uploaded = await provider.upload(requests(1), "ours.jsonl")
        for name in ("first", *(f"other {n}" for n in range(230)), "first"):
            await provider.create(uploaded, name)
        found = await provider.find("first")
        missing = await provider.find("never begun")
        files = await provider.files_named("ours.jsonl"), await provider.files_named("theirs.jsonl")

    assert [batch.id for batch in found] == ["batch_1", "batch_232"]
    assert missing == []
    assert files == ([uploaded], [])


async def test_a_cancelled_batch_ends(stub: StubBatch) -> None:
    async with endpoint(stub.base_url) as provider:
        batch = await provider.create(await provider.upload(requests(2), "requests.jsonl"), "ours")
        assert (await provider.cancel(batch.id)).status == "cancelling"
        ended = await provider.look(batch.id)
        (first, _) = await results(provider, ended.error_file)

    assert ended.status == "cancelled"
    assert first is not None
    assert (first.status, first.answer, first.complaint) == (None, None, "batch_cancelled This request was cancelled.")


async def test_a_batch_that_fails_says_why(stub: StubBatch) -> None:
    doubled = io.BytesIO(2 * request_line("a", ASKED))
    async with endpoint(stub.base_url) as provider:
        batch = await provider.create(await provider.upload(doubled, "requests.jsonl"), "ours")
        failed = await provider.look(batch.id)

    assert failed.status == "failed"
    assert failed.faults == (("duplicate_custom_id", "The custom_id 'a' is used twice"),)


async def test_a_file_is_deleted_once_and_then_done_with(stub: StubBatch) -> None:
    async with endpoint(stub.base_url) as provider:
        uploaded = await provider.upload(requests(1), "requests.jsonl")
        assert await provider.delete_file(uploaded)
        assert stub.files == {}
        assert await provider.delete_file(uploaded)

        async def busy(route: str) -> web.Response:
            return refused("busy", status=503)

        stub.before = busy
        assert not await provider.delete_file("another")


async def test_what_the_provider_does_not_know_is_told_from_what_it_refuses(stub: StubBatch) -> None:
    async with endpoint(stub.base_url) as provider:
        with pytest.raises(BatchGone, match="does not know batch nothing"):
            await provider.look("nothing")
        with pytest.raises(BatchGone, match="has no file nothing"):
            await results(provider, "nothing")
        with pytest.raises(ConfigurationError, match=r"Must be \.jsonl"):
            await provider.upload(requests(1), "requests.csv")

        async def not_you(route: str) -> web.Response:
            return refused("Incorrect API key provided", status=401)

        stub.before = not_you
        with pytest.raises(ConfigurationError, match="check the key"):
            await provider.look("batch_1")


async def test_an_endpoint_without_such_routes_says_what_to_do() -> None:
    async with stub_endpoint(lambda *_: "hello") as live, endpoint(live.base_url) as provider:
        with pytest.raises(ConfigurationError, match=r"has no batch endpoint.*judge\.mode to live"):
            await provider.upload(requests(1), "requests.jsonl")


async def test_a_batch_is_asked_for_once_even_where_the_answer_is_an_error(stub: StubBatch) -> None:
    async def broken(route: str) -> web.Response | None:
        return refused("broken", status=500) if route == "POST /v1/batches" else None

    async with endpoint(stub.base_url) as provider:
        uploaded = await provider.upload(requests(1), "requests.jsonl")
        stub.after = broken
        with pytest.raises(JudgeError, match="gave no answer about a batch: HTTP 500"):
            await provider.create(uploaded, "ours")
        assert stub.asked.count("POST /v1/batches") == 1
        assert [batch.id for batch in await provider.find("ours")] == ["batch_1"]


async def test_a_result_file_that_breaks_off_is_an_error() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"custom_id": "a", "response": {}, "error": null}\n{"custom')
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/v1/files/{id}/content", half)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}/v1") as provider:
            with pytest.raises(JudgeError, match="could not be read"):
                await results(provider, "file")
    finally:
        await runner.cleanup()


async def test_lines_are_found_however_the_stream_is_cut_and_a_huge_one_is_read_past() -> None:
    text = b'{"a": 1}\r\n\n  \n{"b": 2}\n' + b"x" * (LONGEST_LINE + 10) + b'\n{"c": 3}'

    async def cut(size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(text), size):
            yield text[start : start + size]

    for size in (2**16, 10**6 + 1, len(text)):
        assert [line.strip() async for line in lines_of(cut(size))][:2] == [b'{"a": 1}', b'{"b": 2}']
    assert [line async for line in lines_of(cut(2**16))][2:] == [b"", b'{"c": 3}']


@pytest.mark.parametrize(
    "line",
    [
        b"", b"nonsense", b"[]", b"null", b"{}", b'{"custom_id": 7, "response": {}}', b'{"custom_id": "a"}', b"\xff\xfe",
        b'{"custom_id": "a", "response": null, "error": null}', b'{"custom_id": "a", "response": {"status_co',
        b"[" * 100_000, b'{"custom_id": "a", "response": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_a_line_that_says_nothing_of_a_request_is_none(line: bytes) -> None:
    assert result_in(line) is None


@pytest.mark.parametrize(
    ("body", "usage", "answered"),
    [
        (completion("Gut"), Usage(100, 20), True),
        (completion(None), Usage(100, 20), False),
        (completion("Gut") | {"usage": None}, None, True),
        (completion("Gut") | {"usage": {"prompt_tokens": -1, "completion_tokens": 2}}, None, True),
        (completion("Gut") | {"usage": {"prompt_tokens": 1e300, "completion_tokens": 2}}, None, True),
        (completion("Gut") | {"usage": {"prompt_tokens": True, "completion_tokens": 2}}, None, True),
        (completion("Gut") | {"usage": {"prompt_tokens": 10**12, "completion_tokens": 2}}, None, True),
        (completion("Gut") | {"usage": "a lot"}, None, True),
        (completion("Gut") | {"choices": []}, Usage(100, 20), False),
        (completion("Gut") | {"choices": "none"}, Usage(100, 20), False),
        (completion("Gut") | {"choices": [{"message": None}]}, Usage(100, 20), False),
        ({}, None, False),
        ({"_fields_set": 1, "choices": [7]}, None, False),
    ],
)
def test_of_an_answer_of_any_shape_what_can_be_believed_is_taken(body: dict, usage: Usage | None, answered: bool) -> None:
    row = {"custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None}
    line = result_in(json.dumps(row).encode())

    assert line is not None
    assert (line.usage, line.answer is not None) == (usage, answered)
