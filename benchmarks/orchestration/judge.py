"""A judge at an endpoint that can be told to hold its answers: whoever asks it is then in the middle of the work."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

MODEL = "sim-judge"
"""Has a price at a loopback address, so that a budget can be kept."""
CHARGED = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


class HoldingJudge:
    """Scores an answer that holds the right words 5, and any other 1."""

    def __init__(self, right: str) -> None:
        self.right = right
        self.base_url = ""
        self.asked = 0
        self.waiting = 0
        """Calls that are held at this moment."""
        self._go = asyncio.Event()
        self._go.set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def hold(self) -> None:
        """Answer nobody from now on."""
        self._call(self._go.clear)

    def let_go(self) -> None:
        """Answer all who wait, and whoever asks."""
        self._call(self._go.set)

    def _call(self, what: Any) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(what)

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked += 1
        self.waiting += 1
        try:
            await self._go.wait()
        finally:
            self.waiting -= 1
        told = json.dumps(body["messages"])
        score = 5 if self.right in told else 1
        names = body["response_format"]["json_schema"]["schema"]["properties"]
        answer = json.dumps({name: {"reason": "because", "score": score} for name in names})
        message = {"role": "assistant", "content": answer}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {"id": f"judged-{self.asked}", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice]}
        return web.json_response(whole | {"usage": CHARGED})

    async def serve(self, up: threading.Event, ended: asyncio.Event) -> None:
        """Serve until told to end."""
        self._loop = asyncio.get_running_loop()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        up.set()
        await ended.wait()
        self._go.set()
        await runner.cleanup()


@contextmanager
def holding_judge(right: str) -> Iterator[HoldingJudge]:
    """Such a judge, in a thread of this process."""
    judge, up, ended = HoldingJudge(right), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(judge.serve(up, ended)), daemon=True)
    thread.start()
    up.wait(30)
    try:
        yield judge
    finally:
        judge._call(ended.set)
        thread.join(30)
