"""What the gateway costs a request and a stream, its capture on and a key checked: processor time, beside nginx and LiteLLM.

The same model behind all of them says the same to everybody. nginx only passes on: it reads nothing and keeps nothing.
LiteLLM checks one master key and keeps nothing either, so that its figure flatters it.
"""

import asyncio
import re
import shutil
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
from aiohttp import web

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.deployment.servers import ASKED, LITELLM, Server, gateway, litellm, nginx, stub

ROUNDS, ROUNDS_QUICK = 3, 1
SECONDS, SECONDS_QUICK = 10, 2
CONNECTIONS = 32
STREAMS, STREAMS_QUICK, STREAMS_AT_ONCE = 320, 48, 16
CHUNKS = 42
TENTH, NGINX_TIMES = 0.1, 15.0
NEEDED = "needs nginx and wrk (apt-get install nginx-light wrk)"
WRK = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
%s
local file = io.open("%s", "rb")
wrk.body = file:read("*all")
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("FOUND %%d %%d %%d\\n", summary.requests, latency:percentile(50), bad))
end
"""


@dataclass
class Cost:
    """What one server took, over the rounds."""

    alone_us: list[float] = field(default_factory=list)
    """Processor microseconds a request, one at a time."""
    many_us: list[float] = field(default_factory=list)
    """The same with 32 connections."""
    alone_stored_us: list[float] = field(default_factory=list)
    many_stored_us: list[float] = field(default_factory=list)
    """The same two with what brings captures from the spool on disk into the store, which waits for nobody."""
    p50_us: list[float] = field(default_factory=list)
    """Wall microseconds of a request, one at a time, at the median."""
    stream_us: list[float] = field(default_factory=list)
    """Processor microseconds a stream of 42 chunks, 16 at once."""
    bad: int = 0
    served: int = 0

    def add(self, alone: "Load", many: "Load", direct: "Load") -> None:
        """One round."""
        self.alone_us.append(alone.cpu_us)
        self.many_us.append(many.cpu_us)
        self.alone_stored_us.append(alone.stored_us)
        self.many_stored_us.append(many.stored_us)
        self.p50_us.append(alone.p50_us - direct.p50_us)
        self.bad += alone.bad + many.bad
        self.served += alone.requests + many.requests

    def best(self, name: str) -> float | None:
        """The median over the rounds."""
        values = getattr(self, name)
        return statistics.median(values) if values else None


def measure(setting: Setting) -> Result:
    """Rounds in which each server serves the same load in turn."""
    shown = table(
        f"Processor time a request of 1.5 KB and a stream of {CHUNKS} chunks; medians of the rounds",
        *("", "us, 1 at once", f"us, {CONNECTIONS} at once", "stored, 1", f"stored, {CONNECTIONS}", "us a stream"),
        *("p50 added, us", "failed"),
    )
    if not (shutil.which("nginx") and shutil.which("wrk")):
        return Result([Entry(f"gateway against its peers: {NEEDED}", None, None, None, "ratio", None)], shown)
    rounds, seconds = (ROUNDS_QUICK, SECONDS_QUICK) if setting.quick else (ROUNDS, SECONDS)
    costs: dict[str, Cost] = {}
    with ExitStack() as stack:
        model = stack.enter_context(stub(setting.folder))
        streams = stack.enter_context(streaming_model())
        behind: list[dict[str, Server]] = []
        for name, upstream in (("whole", model.base_url), ("streamed", streams)):
            folder = setting.folder / name
            folder.mkdir()
            servers = [stack.enter_context(gateway(folder, upstream))]
            servers.append(stack.enter_context(nginx(folder, Server("model", upstream, model.process))))
            if LITELLM.exists() and not setting.quick:
                setting.say(f"proxying: LiteLLM comes up ({name})")
                servers.append(stack.enter_context(litellm(folder, upstream)))
            behind.append({server.name: server for server in servers})
        whole, streamed = behind
        for server in streamed.values():
            stream_load(server, 2)
        for server in whole.values():
            load(server, setting.folder, 1, 1)
        before = stored(setting.folder / "whole")
        for turn in range(rounds):
            direct = load(Server("direct", model.base_url, model.process), setting.folder, 1, min(seconds, 3))
            for name, server in whole.items():
                setting.say(f"proxying: round {turn + 1} of {rounds}, {name}")
                of_one = costs.setdefault(name, Cost())
                of_one.add(load(server, setting.folder, 1, seconds), load(server, setting.folder, CONNECTIONS, seconds), direct)
                if name in streamed:
                    cpu_us, bad = stream_load(streamed[name], STREAMS_QUICK if setting.quick else STREAMS)
                    of_one.stream_us.append(cpu_us)
                    of_one.bad += bad
        lost = max(0, costs["gateway"].served - (stored(setting.folder / "whole") - before))
    for name, cost in costs.items():
        parts = ("alone_us", "many_us", "alone_stored_us", "many_stored_us", "stream_us", "p50_us")
        figures = [cost.best(part) for part in parts]
        shown.add_row(name, *(f"{value:,.0f}" if value is not None else "-" for value in figures), str(cost.bad))
    return Result(
        [*entries_of(costs), Entry.of_value("requests that were served and are not in the store", float(lost), "==", 0)],
        shown,
        [
            "ours: one worker, key checked, every request captured to disk before its answer is sent; `stored` adds what brings "
            "it from there into SQLite, personal data taken out, by a process of its own; streams count it too",
            "nginx passes bytes on; LiteLLM: one worker, master key, no database, no callback"
            if "litellm" in costs
            else "LiteLLM takes half a minute to come up, and part in the full run alone"
            if LITELLM.exists()
            else "LiteLLM is not installed: make bench-peers",
        ],
    )


def entries_of(costs: dict[str, Cost]) -> list[Entry]:
    """The claims."""
    ours = costs["gateway"]
    peers = [("LiteLLM", costs.get("litellm"), TENTH), ("nginx", costs.get("nginx"), NGINX_TIMES)]
    found = []
    for title, peer, goal in peers:
        for what, part in (
            ("a request, one at a time", "alone_us"),
            (f"a request, {CONNECTIONS} at once", "many_us"),
            ("a request, one at a time and stored", "alone_stored_us"),
            (f"a request, {CONNECTIONS} at once and stored", "many_stored_us"),
            ("an SSE stream, stored", "stream_us"),
        ):
            claim = f"gateway CPU {what}, capture on and key checked, against {title}"
            found.append(Entry.of_ratio(claim, ours.best(part), peer and peer.best(part), goal))
    peer_p50 = costs["litellm"].best("p50_us") if "litellm" in costs else None
    found.append(Entry.of_ratio("p50 latency added by the gateway, us, and by LiteLLM", ours.best("p50_us"), peer_p50, 1.0))
    found.append(Entry.of_value("requests that the gateway failed", float(ours.bad), "==", 0))
    return found


@dataclass(frozen=True)
class Load:
    """What a load of one kind took."""

    requests: int
    cpu_us: float
    """Of serving a request, with its capture on disk."""
    stored_us: float
    """With its way from there into the store."""
    p50_us: float
    bad: int


def load(server: Server, folder: Path, connections: int, seconds: float) -> Load:
    """Ask as fast as the connections allow."""
    body, script = folder / "asked.json", folder / f"{server.name}.lua"
    body.write_bytes(orjson.dumps(ASKED))
    key = f'wrk.headers["authorization"] = "Bearer {server.key}"' if server.key else ""
    script.write_text(WRK % (key, body), encoding="utf-8")
    begun, serving = server.cpu_s, server.serving_cpu_s
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
    told = subprocess.run([*command, f"{server.base_url}/chat/completions"], check=True, capture_output=True, text=True).stdout
    written(server)
    found = re.search(r"FOUND (\d+) (\d+) (\d+)", told)
    if found is None:
        raise RuntimeError(f"wrk said nothing of {server.name}: {told[-300:]}")
    requests, p50, bad = map(int, found.groups())
    whole_s = server.cpu_s - begun
    serving_s = server.serving_cpu_s - serving if server.name == "gateway" else whole_s
    return Load(requests, *(took * 1e6 / max(requests, 1) for took in (serving_s, whole_s)), float(p50), bad)


def written(server: Server, patience_s: float = 60.0) -> None:
    """Wait until what our gateway served is in its store: that work is part of what a request costs."""
    if server.name != "gateway":
        return
    ends = time.monotonic() + patience_s
    while time.monotonic() < ends:
        with urllib.request.urlopen(server.base_url.removesuffix("/v1") + "/healthz", timeout=10) as answer:  # noqa: S310
            if not orjson.loads(answer.read())["waiting"]:
                return
        time.sleep(0.05)


def stored(folder: Path) -> int:
    """How many interactions the gateway of a folder has brought into its store."""
    from continuum.store.database import open_store

    store = open_store(f"sqlite:///{folder / 'home' / 'continuum.db'}")
    try:
        return store.interactions.count("support")
    finally:
        store.close()


def stream_load(server: Server, streams: int) -> tuple[float, int]:
    """Processor microseconds a stream, and how many did not come whole."""
    begun = server.cpu_s
    bad = asyncio.run(_streams(server, streams))
    written(server)
    return (server.cpu_s - begun) * 1e6 / streams, bad


async def _streams(server: Server, streams: int) -> int:
    headers = {"authorization": f"Bearer {server.key}"} if server.key else {}
    turn = asyncio.Semaphore(STREAMS_AT_ONCE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> bool:
            async with (
                turn,
                session.post(f"{server.base_url}/chat/completions", json={**ASKED, "stream": True}, headers=headers) as answer,
            ):
                whole = await answer.read()
            return answer.status == 200 and b"[DONE]" in whole

        return streams - sum(await asyncio.gather(*(one() for _ in range(streams))))


@contextmanager
def streaming_model() -> Iterator[str]:
    """A model that answers in 42 chunks, a few milliseconds apart, in a thread of this process; its base URL."""
    from threading import Event, Thread

    ready, stop, found = Event(), [], []

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(CHUNKS):
            delta = {"content": f"word{number} "} if number else {"role": "assistant", "content": ""}
            choice = {"index": 0, "delta": delta, "finish_reason": None if number < CHUNKS - 1 else "stop"}
            event = {"id": "chatcmpl-s", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4", "choices": [choice]}
            await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
            await asyncio.sleep(0.002)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        done = asyncio.Event()
        stop.append((asyncio.get_running_loop(), done))
        found.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        ready.set()
        await done.wait()
        await runner.cleanup()

    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    ready.wait(30)
    try:
        yield found[0]
    finally:
        loop, done = stop[0]
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
