"""A provider that charges: an OpenAI-compatible server in a process of its own that keeps a ledger, and misbehaves as told.

What becomes of a request is drawn from the hash of its content and of how often that content has been asked, so two runs
that ask the same meet the same. It honours `Idempotency-Key`: a request it has answered under a key is answered again and not
charged again. Ask it for its ledger at `/ledger`, and set it at `/reset`.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

MODEL = "judge-under-test"
INPUT_MICRO_USD = 0.15
OUTPUT_MICRO_USD = 0.60
"""Micro-dollars a token: 0.15 and 0.60 dollars a million."""
BYTES_A_TOKEN = 4.0
SAID_TOKENS = 160
"""A judge's answer on four criteria: four reasons of thirty words, and the JSON around them."""


@dataclass
class Manners:
    """How the provider behaves; each share is of the requests."""

    latency_s: float = 0.05
    too_many: float = 0.0
    """429, not charged."""
    broken: float = 0.0
    """500, not charged."""
    silent: float = 0.0
    """Charged, and answered only after the client has given up."""
    silent_s: float = 5.0
    cut: float = 0.0
    """Charged, and ended at the limit of tokens, in the middle of the JSON."""
    garbled: float = 0.0
    """Charged, and no JSON."""
    idempotent: bool = True


@dataclass
class Ledger:
    """What was asked and what was charged for it."""

    requests: int = 0
    charged: int = 0
    micro_usd: float = 0.0
    repeated: int = 0
    """Requests under a key that was answered before: those a provider without keys would have charged again."""
    under_way: int = 0
    most_under_way: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    of_content: Counter[str] = field(default_factory=Counter)
    """How often each content was charged and answered well."""


class Provider:
    """The server's state."""

    def __init__(self) -> None:
        self.manners = Manners()
        self.ledger = Ledger()
        self.asked: Counter[str] = Counter()
        self.answered: dict[str, dict[str, Any]] = {}

    async def chat(self, request: web.Request) -> web.Response:
        """Answer one chat completion."""
        raw = await request.read()
        self.ledger.requests += 1
        self.ledger.under_way += 1
        self.ledger.most_under_way = max(self.ledger.most_under_way, self.ledger.under_way)
        try:
            return await self._answer(raw, request.headers.get("Idempotency-Key", ""))
        finally:
            self.ledger.under_way -= 1

    async def _answer(self, raw: bytes, key: str) -> web.Response:
        body = json.loads(raw)
        if self.manners.idempotent and key in self.answered:
            self.ledger.repeated += 1
            await asyncio.sleep(self.manners.latency_s)
            return web.json_response(self.answered[key])
        content = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        self.asked[content] += 1
        outcome = self._drawn(f"{content}:{self.asked[content]}")
        self.ledger.outcomes[outcome] += 1
        if outcome == "too_many":
            return failure(429, "slow down", {"retry-after-ms": "40"})
        await asyncio.sleep(self.manners.latency_s)
        if outcome == "broken":
            return failure(500, "out of order")
        answer = completion(body, len(raw), outcome)
        # Charged once it is worked out, whether or not anybody still waits for it.
        self.ledger.charged += 1
        self.ledger.micro_usd += cost_micro_usd(answer["usage"])
        if outcome in ("well", "silent"):
            self.ledger.of_content[content] += 1
        if key:
            self.answered[key] = answer
        if outcome == "silent":
            await asyncio.sleep(self.manners.silent_s)
        return web.json_response(answer)

    def _drawn(self, name: str) -> str:
        at = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
        for outcome in ("too_many", "broken", "silent", "cut", "garbled"):
            at -= getattr(self.manners, outcome)
            if at < 0:
                return outcome
        return "well"

    async def reset(self, request: web.Request) -> web.Response:
        """Begin a new ledger, with the manners that are sent."""
        self.__init__()
        self.manners = Manners(**await request.json())
        return web.json_response({})

    async def tell(self, _: web.Request) -> web.Response:
        """The ledger."""
        return web.json_response(vars(self.ledger))


def completion(body: dict[str, Any], size: int, outcome: str) -> dict[str, Any]:
    """An answer to a judge's prompt: every criterion of its schema scored, in the form that was asked for or not."""
    names = list(body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {"score": {}}))
    seed = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
    scores = {name: {"reason": "It answers what was asked.", "score": 1 + seed[n] % 5} for n, name in enumerate(names)}
    text = json.dumps(scores)
    if outcome == "cut":
        text = text[: len(text) // 2]
    if outcome == "garbled":
        text = "I would say this is quite good: four out of five, all in all."
    said = body.get("max_completion_tokens", SAID_TOKENS) if outcome == "cut" else SAID_TOKENS
    given = int(size / BYTES_A_TOKEN)
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "length" if outcome == "cut" else "stop",
            }
        ],
        "usage": {"prompt_tokens": given, "completion_tokens": said, "total_tokens": given + said},
    }


def cost_micro_usd(usage: dict[str, int]) -> float:
    """What an answer costs."""
    return usage["prompt_tokens"] * INPUT_MICRO_USD + usage["completion_tokens"] * OUTPUT_MICRO_USD


def failure(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error in OpenAI form."""
    return web.json_response({"error": {"message": message, "type": "error"}}, status=status, headers=headers)


async def serve() -> None:
    """Serve until the end, and say at once where."""
    provider = Provider()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", provider.chat)
    app.router.add_post("/reset", provider.reset)
    app.router.add_get("/ledger", provider.tell)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@dataclass
class Running:
    """A provider in its process, as those who measure see it."""

    url: str

    @property
    def base_url(self) -> str:
        """Where a client finds it."""
        return f"{self.url}/v1"

    def reset(self, manners: Manners) -> None:
        """A new ledger."""
        self._asked("/reset", json.dumps(asdict(manners)).encode())

    def ledger(self) -> Ledger:
        """What it has charged up to now."""
        told = self._asked("/ledger")
        return Ledger(**told | {"outcomes": Counter(told["outcomes"]), "of_content": Counter(told["of_content"])})

    def _asked(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, data=body, headers={"content-type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)


@contextmanager
def running_provider() -> Iterator[Running]:
    """A provider in a process of its own while the block runs."""
    command = [sys.executable, "-m", "benchmarks.judging.provider"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Running(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve())
