"""A simulated provider: an OpenAI-compatible server on loopback with two made-up models.

`sim-gpt` plays the expensive model in production, `sim-judge` the judge. Both know the made-up shop of `world.py` and nothing
else; what they answer depends on the seed and the request alone. The path to them is real: HTTP, JSON, streaming, token usage.
The answers, the scores and the prices are not, and say so: every response carries the system fingerprint `simulated`.
"""

import hashlib
import json
import random
import time
from collections.abc import Sequence
from typing import Any, Self
from uuid import uuid4

from aiohttp import web

from continuum.demo.world import World
from continuum.models.pricing import SIMULATED_PRICES

FINGERPRINT = "simulated"
BYTES_PER_TOKEN = 4
"""About what common tokenizers make of English; usage is counted by it."""
REASONS = {
    5: "Nothing to object to.",
    4: "Good, with a small blemish.",
    3: "It does so in part.",
    2: "It mostly does not.",
    1: "It does not.",
}


class SimulatedProvider:
    """The server; `async with SimulatedProvider() as provider` starts it, `provider.base_url` is where.

    Args:
        seed: of the answers and the scores.
        port: to listen on; 0 for any that is free.
        world: the shop that it knows.
    """

    def __init__(self, seed: int = 0, *, port: int = 0, world: World | None = None) -> None:
        self.seed = seed
        self.world = world or World()
        self.calls = dict.fromkeys(SIMULATED_PRICES, 0)
        """Calls answered so far, by model."""
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """The address for an OpenAI client, once the server runs."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def _models(self, _: web.Request) -> web.Response:
        rows = [{"id": model, "object": "model", "created": 0, "owned_by": FINGERPRINT} for model in SIMULATED_PRICES]
        return web.json_response({"object": "list", "data": rows})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
            model, messages = body["model"], body["messages"]
            question = last_question(messages)
        except (ValueError, KeyError, TypeError, AttributeError):
            return refusal(400, "the body must be JSON with a model and messages, one of them a user's")
        if model not in SIMULATED_PRICES:
            return refusal(404, f"there is no model {model!r}; there are {', '.join(SIMULATED_PRICES)}")
        try:
            text = self._judgement(body, question) if model == "sim-judge" else self._answer(messages, question)
        except (ValueError, KeyError, TypeError, StopIteration):
            return refusal(400, "sim-judge reads Continuum's judge prompt and needs response_format with a JSON schema")
        self.calls[model] += 1
        completion = as_completion(body, text)
        if body.get("stream"):
            return await stream(request, completion, bool((body.get("stream_options") or {}).get("include_usage")))
        return web.Response(body=json.dumps(completion).encode(), content_type="application/json")

    def _answer(self, messages: Sequence[Any], question: str) -> str:
        return self.world.production_answer(question, self._luck("answer", json.dumps(messages)))

    def _judgement(self, body: dict[str, Any], prompt: str) -> str:
        criteria = body["response_format"]["json_schema"]["schema"]["properties"]
        # A repeated call ends in a request to answer again; the data stands in the first of the user's messages.
        first = next(message["content"] for message in body["messages"] if message["role"] == "user")
        (data,) = json.loads(first).values()
        question = last_question(data["conversation"])
        if "answer_a" in data:
            return self._comparison(question, *(data[name].get("content") or "" for name in ("answer_a", "answer_b")))
        answer = data["answer"]["content"]
        scores = self.world.judge_scores(question, answer, self._luck("judge", question, answer))
        plain = round(sum(scores.values()) / len(scores))
        return json.dumps({name: {"reason": REASONS[s := scores.get(name, plain)], "score": s} for name in criteria})

    def _comparison(self, question: str, a: str, b: str) -> str:
        first, second = (
            sum(self.world.judge_scores(question, said, self._luck("judge", question, said)).values()) for said in (a, b)
        )
        better = "tie" if first == second else "a" if first > second else "b"
        return json.dumps({"reason": "It scores higher by the rubric.", "better": better})

    def _luck(self, *parts: str) -> random.Random:
        return random.Random(hashlib.sha256("\0".join((str(self.seed), *parts)).encode()).digest())


def last_question(messages: Sequence[dict[str, Any]]) -> str:
    """The words of the last message of a user.

    Raises:
        ValueError: there is none.
    """
    for message in reversed(messages):
        if message["role"] == "user":
            content = message.get("content") or ""
            return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)
    raise ValueError("no message of a user")


def as_completion(body: dict[str, Any], text: str) -> dict[str, Any]:
    """A chat completion that says the text, cut to the token limit the request gives."""
    limit = int(body.get("max_completion_tokens") or body.get("max_tokens") or tokens(text))
    said = text[: limit * BYTES_PER_TOKEN]
    given = tokens(json.dumps(body["messages"]))
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "system_fingerprint": FINGERPRINT,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": said, "refusal": None},
                "finish_reason": "stop" if said == text else "length",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": given, "completion_tokens": tokens(said), "total_tokens": given + tokens(said)},
    }


async def stream(request: web.Request, completion: dict[str, Any], with_usage: bool) -> web.StreamResponse:
    """The completion as server-sent events, a word at a time."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    choice = completion["choices"][0]
    frame = {key: completion[key] for key in ("id", "created", "model", "system_fingerprint")} | {
        "object": "chat.completion.chunk"
    }
    words = choice["message"]["content"].split(" ")
    deltas = [{"role": "assistant", "content": ""}, *({"content": w if n == 0 else " " + w} for n, w in enumerate(words)), {}]
    for delta in deltas:
        reason = None if delta else choice["finish_reason"]
        chunk = frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}]}
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    if with_usage:
        await response.write(b"data: " + json.dumps(frame | {"choices": [], "usage": completion["usage"]}).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def refusal(status: int, message: str) -> web.Response:
    """An error in the form that OpenAI clients read."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return web.json_response({"error": error}, status=status)


def tokens(text: str) -> int:
    """About how many tokens a text is."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
