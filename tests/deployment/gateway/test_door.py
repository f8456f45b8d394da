"""What the gateway's own HTTP server refuses, said to it byte by byte, and how long it waits."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.deployment.gateway.door import Door
from continuum.deployment.gateway.request import Limits, Request
from continuum.deployment.serving import BadRequest

QUICK = Limits(head_s=0.3, body_s=0.3, idle_s=0.5, fetch_s=0.3, body_bytes=1000, connections=5)
HELLO = b"GET /hello HTTP/1.1\r\nhost: here\r\n\r\n"


async def echo(request: Request) -> None:
    """Answers with what it was sent."""
    try:
        body = await request.body()
    except BadRequest as error:
        request.refuse(error.status, str(error))
        return
    request.answer(200, body or request.path.encode())


@asynccontextmanager
async def a_door(handle: Callable[[Request], Awaitable[None]] = echo, limits: Limits = QUICK) -> AsyncIterator[tuple[Door, int]]:
    door = Door(handle, limits)
    _, port = await door.open("127.0.0.1", 0)
    try:
        yield door, port
    finally:
        await door.close(0.0)


async def said_to(port: int, *pieces: bytes, pause_s: float = 0.0, ends: bool = False) -> bytes:
    """What a door answers until it closes the connection, or has been silent for long enough to have closed it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if ends:
            writer.write_eof()
        async with asyncio.timeout(5):
            while more := await reader.read(65536):
                answer += more
    except ConnectionError:
        pass
    finally:
        writer.close()
    return answer


def posted(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /echo HTTP/1.1", b"host: here", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_requests_follow_each_other_on_one_connection_in_their_order() -> None:
    async with a_door() as (_, port):
        answer = await said_to(port, posted(b"one") + posted(b"two"), HELLO)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [b"one", b"two", b"/hello"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\rhost: a\r\n\r\n",
        b"GET / HTTP/1.1\nhost: a\n\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: a\nb: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx y: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n host: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n" + b"".join(b"x%d: 1\r\n" % n for n in range(200)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_two_servers_could_read_in_two_ways_is_refused_and_the_connection_closed(request_bytes: bytes) -> None:
    handled: list[str] = []

    async def note(request: Request) -> None:
        handled.append(request.path)
        await echo(request)

    async with a_door(note) as (_, port):
        # The second request is what would be smuggled past the first.
        answer = await said_to(port, request_bytes + b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")
    assert b"/smuggled" not in answer
    assert "/smuggled" not in handled
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 ")), answer
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert json.loads(body)["error"]["type"] == "invalid_request_error"


async def test_a_switch_of_protocols_is_refused() -> None:
    upgrade = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    async with a_door() as (_, port):
        answer = await said_to(port, upgrade + b"anything at all")
    assert b"anything" not in answer
    assert b"101 " not in answer


@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_a_request_that_would_rather_speak_another_protocol_is_answered_and_ends_its_connection(body: bytes) -> None:
    wish = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
    first = b"POST /first HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n%b\r\n%b" % (len(body), wish, body)
    async with a_door(limits=replace(QUICK, idle_s=75.0)) as (_, port):
        # Whoever sends two at once must see at once that the second has to be sent again.
        together = await said_to(port, first + HELLO)
        assert together.count(b"HTTP/1.1 200 OK") == 1
        assert b"connection: close" in together
        assert together.endswith(body or b"/first")
        apart = await said_to(port, first[:-5], first[-5:] + HELLO, pause_s=0.05)
        assert apart.count(b"HTTP/1.1 200 OK") == 1
    assert apart.endswith(body or b"/first")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_before_it_is_read(chunked: bool) -> None:
    async with a_door() as (_, port):
        if chunked:
            sent = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + b"200\r\n" + b"x" * 512 + b"\r\n"
            answer = await said_to(port, sent, b"200\r\n" + b"x" * 512 + b"\r\n")
        else:
            answer = await said_to(port, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 104857600\r\n\r\n", b"x" * 512)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1") == 1


async def test_an_encoded_body_is_refused_and_is_nothing_to_blow_up() -> None:
    async with a_door() as (_, port):
        answer = await said_to(port, posted(b"\x1f\x8b", b"content-encoding: gzip", b"connection: close"))
    assert answer.startswith(b"HTTP/1.1 415 ")


async def test_a_client_that_waits_to_be_told_to_go_on_is_told() -> None:
    async with a_door() as (_, port):
        head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
        answer = await said_to(port, head, b"hello", pause_s=0.05)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"hello")


async def test_a_head_that_trickles_in_is_given_up() -> None:
    async with a_door() as (door, port):
        answer = await said_to(port, *(bytes([sign]) for sign in HELLO[:20]), pause_s=0.05)
        assert answer.startswith((b"HTTP/1.1 408 ", b""))
        async with asyncio.timeout(5):
            while door.connections:
                await asyncio.sleep(0.02)


async def test_a_body_that_trickles_in_is_given_up_and_its_handler_with_it() -> None:
    given_up = asyncio.Event()

    async def wait(request: Request) -> None:
        try:
            await request.body()
        finally:
            given_up.set()

    async with a_door(wait) as (_, port):
        answer = await said_to(port, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n", *[b"x"] * 20, pause_s=0.05)
        async with asyncio.timeout(5):
            await given_up.wait()
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_connection_without_a_request_is_closed_in_time() -> None:
    async with a_door() as (_, port):
        assert await said_to(port) == b""


async def test_a_client_that_does_not_read_its_answer_is_left() -> None:
    left = asyncio.Event()

    async def pour(request: Request) -> None:
        request.begin(200, ())
        try:
            while True:
                await request.send(b"x" * 65536)
        finally:
            left.set()

    async with a_door(pour) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO)
        async with asyncio.timeout(10):
            await left.wait()
        writer.close()


async def test_more_connections_than_there_is_room_for_are_turned_away() -> None:
    async with a_door() as (door, port):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(QUICK.connections)]
        async with asyncio.timeout(5):
            while len(door.connections) < QUICK.connections:
                await asyncio.sleep(0.01)
        assert await said_to(port, HELLO) == b""
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(5):
            while door.connections:
                await asyncio.sleep(0.01)
        assert b"200 OK" in await said_to(port, HELLO)


async def test_requests_piled_up_behind_one_that_takes_long_end_the_connection() -> None:
    waits = asyncio.Event()

    async def slow(request: Request) -> None:
        await waits.wait()
        await echo(request)

    async with a_door(slow) as (door, port):
        assert await said_to(port, HELLO * 100) == b""
        assert not door.connections


async def test_a_client_that_goes_away_takes_its_handler_with_it() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with a_door(wait) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO)
        async with asyncio.timeout(5):
            await begun.wait()
            writer.close()
            await cancelled.wait()


async def test_a_door_that_closes_lets_what_has_begun_be_answered_and_takes_nothing_new() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> None:
        begun.set()
        await go_on.wait()
        await echo(request)

    door = Door(slow, QUICK)
    _, port = await door.open("127.0.0.1", 0)
    asked = asyncio.create_task(said_to(port, HELLO))
    await begun.wait()
    closing = asyncio.create_task(door.close(5.0))
    await asyncio.sleep(0.05)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)
    go_on.set()
    answer = await asked
    await closing
    assert b"connection: close" in answer
    assert answer.endswith(b"/hello")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_in_pieces_is_read_by_old_clients_too(version: bytes) -> None:
    async def pieces(request: Request) -> None:
        request.begin(200, [("x-evil", "a\r\nset-cookie: b")])
        for piece in (b"one ", b"two"):
            await request.send(piece)
        request.end()

    async with a_door(pieces) as (_, port):
        answer = await said_to(port, b"GET / HTTP/" + version + b"\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert b"\r\nset-cookie" not in answer
    assert answer.endswith(b"one two" if version == b"1.0" else b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_a_handler_that_fails_closes_the_connection_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request) -> None:
        if request.path == "/fail":
            raise KeyError("secret words")
        await echo(request)

    async with a_door(fail) as (_, port):
        assert await said_to(port, b"GET /fail HTTP/1.1\r\nhost: a\r\n\r\n") == b""
        assert b"200 OK" in await said_to(port, HELLO)
    assert "could not be answered" in caplog.text


@settings(max_examples=40)
@given(noise=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_no_noise_keeps_others_from_being_served(noise: list[bytes]) -> None:
    async def try_it() -> None:
        async with a_door(limits=Limits(head_s=0.05, body_s=0.05, idle_s=0.05)) as (_, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"".join(noise))
            reader, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(HELLO)
            async with asyncio.timeout(5):
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            for one in (writer, other):
                one.close()
                with contextlib.suppress(ConnectionError):
                    await one.wait_closed()

    asyncio.run(try_it())
