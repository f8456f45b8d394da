"""A steady stream of requests, half of them streams, and all that became of each."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from benchmarks.deployment.servers import Server
from continuum.spool.headers import DEPLOYMENT, INTERACTION_ID, VARIANT

USERS = 2000
OWN_EVERY = 4
QUESTION = "My card was charged twice for one order and nobody answers the phone."


@dataclass(frozen=True)
class Answered:
    """One request, and what came of it. Times are seconds since 1970."""

    sent: float
    came: float
    """When its end came, or when it was given up."""
    streamed: bool
    user: str
    status: int | None
    """None where no status came."""
    model: str
    """Who it says answered; empty where nobody did."""
    whole: bool
    variant: str | None = None
    deployment: str | None = None
    interaction: str | None = None
    failure: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was answered, and to the end."""
        return self.status == 200 and self.whole

    @property
    def unit(self) -> str:
        """What the gateway keeps with one model."""
        return f"user:{self.user}"

    @property
    def seconds(self) -> float:
        """From its first byte to the last of the answer."""
        return self.came - self.sent


@dataclass
class Asking:
    """Asks at a steady rate, whether answers come or not, until it is told to stop.

    Every fourth request opens a connection of its own, so that all workers that share the port get some.
    """

    server: Server
    per_second: float
    seed: int
    streams: float = 0.5
    """Share of the requests that ask for a stream."""
    patience_s: float = 60.0
    """After so long a request is given up, and counts as failed."""
    answers: list[Answered] = field(default_factory=list)
    """Of the requests that are over, in the order of their ends."""

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set, and wait for what is under way."""
        rng = random.Random(self.seed)
        timeout = aiohttp.ClientTimeout(total=self.patience_s)
        headers = {"authorization": f"Bearer {self.server.key}"} if self.server.key else {}
        kept, own = aiohttp.TCPConnector(limit=0), aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(connector=kept, timeout=timeout, headers=headers) as keeping,
            aiohttp.ClientSession(connector=own, timeout=timeout, headers=headers) as closing,
        ):
            under_way: set[asyncio.Task[None]] = set()
            begun, number = time.monotonic(), 0
            while not stop.is_set():
                session = keeping if number % OWN_EVERY else closing
                user, streamed = f"u{rng.randrange(USERS)}", rng.random() < self.streams
                task = asyncio.create_task(self._one(session, user, streamed))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                number += 1
                await asyncio.sleep(max(0.0, begun + number / self.per_second - time.monotonic()))
            await asyncio.gather(*under_way)

    async def _one(self, session: aiohttp.ClientSession, user: str, streamed: bool) -> None:
        body = {"model": "gpt-4", "user": user, "stream": streamed, "messages": [{"role": "user", "content": QUESTION}]}
        sent = time.time()
        told: dict[str, Any] = {"status": None, "model": "", "whole": False}
        try:
            async with session.post(f"{self.server.base_url}/chat/completions", json=body) as answer:
                names = {"variant": VARIANT, "deployment": DEPLOYMENT, "interaction": INTERACTION_ID}
                told |= {"status": answer.status} | {name: answer.headers.get(header) for name, header in names.items()}
                raw = await answer.read()
            told |= read(raw, streamed=streamed) if told["status"] == 200 else {"failure": raw[:200].decode(errors="replace")}
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            told["failure"] = f"{type(error).__name__}: {error}"
        self.answers.append(Answered(sent=sent, came=time.time(), streamed=streamed, user=user, **told))


def read(raw: bytes, *, streamed: bool) -> dict[str, Any]:
    """Who answered, and whether the answer is whole.

    Raises:
        ValueError: it is not in OpenAI's form.
    """
    if not streamed:
        content = orjson.loads(raw)["choices"][0]["message"]["content"]
        return {"model": content.split()[0], "whole": True}
    events = [line.removeprefix(b"data: ") for line in raw.split(b"\n") if line.startswith(b"data: ")]
    choices = [choice for event in events if event != b"[DONE]" for choice in orjson.loads(event)["choices"]]
    said = "".join(choice["delta"].get("content") or "" for choice in choices)
    ended = any(choice["finish_reason"] for choice in choices) and bool(events) and events[-1] == b"[DONE]"
    return {"model": said.split()[0] if said else "", "whole": ended}


def missing(store: Any, answers: Sequence[Answered]) -> list[Answered]:
    """The answers of which the store holds no interaction."""
    ids = [one.interaction for one in answers if one.interaction]
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        found |= set(store.interactions.get_many(ids[start : start + 500]))
    return [one for one in answers if one.ok and one.interaction not in found]


def still_missing(store: Any, answers: Sequence[Answered], patience_s: float = 60.0) -> list[Answered]:
    """As `missing`, once whoever runs has had its time to store what it found."""
    until = time.monotonic() + patience_s
    found = missing(store, answers)
    while found and time.monotonic() < until:
        time.sleep(0.2)
        found = missing(store, found)
    return found
