"""Connections to servers that close them, are silent, or say more than they were asked."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.http import HttpProcessingError

from continuum.deployment.gateway.lines import Address, Incoming, Lines, address_of

HEAD = b"POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n"
PACKED = gzip.compress(b"hello")
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def a_server(serve: Serve) -> AsyncIterator[Address]:
    async def and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(and_close, "127.0.0.1", 0)
    yield address_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    server.close()


async def ask(lines: Lines, address: Address, within_s: float = 5.0) -> Incoming:
    return await lines.ask(address, HEAD, b"{}", within_s)


async def whole(incoming: Incoming) -> bytes:
    found = b""
    while piece := await incoming.piece():
        found += piece
    return found


async def a_request(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)


async def test_a_connection_is_used_again_and_one_that_was_closed_meanwhile_is_not_missed() -> None:
    connections = 0

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            await a_request(reader)
            writer.write(ANSWER)
        await reader.readuntil(b"\r\n\r\n")  # and it closes without a word

    lines = Lines(5.0)
    async with a_server(twice) as address:
        for _ in range(5):
            assert await whole(await ask(lines, address)) == b"hello"
        lines.close()
    assert connections == 3


async def test_what_a_server_says_unasked_is_no_answer_to_the_next_request() -> None:
    async def more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(ANSWER + ANSWER.replace(b"hello", b"other"))
        await asyncio.sleep(60)

    lines = Lines(5.0)
    async with a_server(more) as address:
        for _ in range(2):
            assert await whole(await ask(lines, address)) == b"hello"
        lines.close()


async def test_a_silent_server_is_given_up_and_so_is_one_that_falls_silent() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        await asyncio.sleep(60)

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(ANSWER[:-2])
        await asyncio.sleep(60)

    lines = Lines(5.0)
    async with a_server(silent) as address:
        with pytest.raises(TimeoutError):
            await ask(lines, address, 0.1)
    async with a_server(half) as address:
        incoming = await ask(lines, address)
        assert await incoming.piece(0.1) == b"hel"
        with pytest.raises(TimeoutError):
            await incoming.piece(0.1)
        incoming.release()


async def test_an_answer_that_never_falls_silent_is_given_up_when_its_whole_time_is_up() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

    lines = Lines(5.0)
    async with a_server(trickle) as address:
        incoming = await lines.ask(address, HEAD, b"{}", 5.0, 0.3)
        with pytest.raises(TimeoutError):
            await whole(incoming)
        incoming.release()
    lines.close()


async def test_what_a_server_began_to_answer_on_a_connection_that_was_kept_is_not_asked_again() -> None:
    asked = 0

    async def torn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        for answer in (ANSWER, ANSWER[:20]):
            await a_request(reader)
            asked += 1
            writer.write(answer)

    lines = Lines(5.0)
    async with a_server(torn) as address:
        assert await whole(await ask(lines, address)) == b"hello"
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await ask(lines, address)
    lines.close()
    assert asked == 2


async def test_one_connection_serves_answers_of_every_form_in_turn() -> None:
    forms = (
        ANSWER,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
    )
    connections = 0

    async def all_of_them(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for answer in forms * 2:
            await a_request(reader)
            for byte in answer:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)

    lines = Lines(5.0)
    async with a_server(all_of_them) as address:
        found = [await whole(await ask(lines, address)) for _ in range(10)]
        lines.close()
    assert found == [b"hello", b"hello", b"", b"", b"hello"] * 2
    assert connections == 1


async def test_an_answer_that_breaks_off_is_an_error_and_one_that_is_no_http_too() -> None:
    async def torn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(ANSWER[:-2])

    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"SSH-2.0-OpenSSH\r\n")

    lines = Lines(5.0)
    async with a_server(torn) as address:
        with pytest.raises(aiohttp.ClientPayloadError):
            await whole(await ask(lines, address))
    async with a_server(noise) as address:
        with pytest.raises(HttpProcessingError):
            await ask(lines, address)


async def test_an_interim_answer_is_passed_over_and_one_without_a_length_ends_with_its_connection() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await a_request(reader)
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello")

    lines = Lines(5.0)
    async with a_server(early) as address:
        incoming = await ask(lines, address)
        assert (incoming.status, await whole(incoming)) == (200, b"hello")


async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        await ask(Lines(5.0), address_of("http://127.0.0.1:9/v1"))


def test_an_address_is_taken_apart() -> None:
    address = address_of("https://bob:s%20t@api.example.com/openai/v1/?api-version=2")
    assert (address.host, address.port, address.secure) == ("api.example.com", 443, True)
    assert (address.authority, address.path, address.query) == ("api.example.com", "/openai/v1", "?api-version=2")
    assert address.authorization == "Basic Ym9iOnMgdA=="
    assert address_of("http://[::1]:8000/v1").host == "::1"


@pytest.mark.parametrize("url", ["", "ftp://a/v1", "http://", "http://a/v1\r\nx: y", "http://a b/v1", "//a", "file:///etc"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|blank"):
        address_of(url)
