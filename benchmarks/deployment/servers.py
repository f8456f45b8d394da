"""The servers of the serving benchmarks: a model that costs nothing, and who stands before it; each a process of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from continuum.spool.apart import PROGRAM

ROOT = Path(__file__).parents[2]
LITELLM = ROOT / ".venv-peers" / "bin" / "litellm"
UP_S = 120.0
"""The heaviest peer needs some seconds to come up on a busy machine."""
STORES = PROGRAM.encode()
"""In the command of a process that brings captures into the store."""
TICKS = os.sysconf("SC_CLK_TCK")
ANSWER = {
    "id": "chatcmpl-benchmark",
    "object": "chat.completion",
    "created": 1770000000,
    "model": "gpt-4",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "The invoice was charged twice; the second charge is on its way back. " * 4,
            },
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 310, "completion_tokens": 62, "total_tokens": 372},
}
PROMPT = "My card was charged twice for one order and nobody answers the phone. " * 21
"""About 1.5 KB."""
ASKED = {"model": "gpt-4", "messages": [{"role": "user", "content": PROMPT}]}
MASTER_KEY = "sk-benchmark-4f8a1c0e77d2"


@dataclass(frozen=True)
class Server:
    """One that runs, and where it is asked."""

    name: str
    base_url: str
    process: subprocess.Popen[bytes]
    key: str | None = None

    @property
    def cpu_s(self) -> float:
        """Processor seconds of it and of all that it started and that still live."""
        return sum(_cpu_s(Path(f"/proc/{pid}")) for pid in _tree(self.process.pid))

    @property
    def serving_cpu_s(self) -> float:
        """The part of it that serves: not what the processes took that bring captures from the disk into the store."""
        return sum(_cpu_s(Path(f"/proc/{pid}")) for pid in _tree(self.process.pid) if not _stores(pid))


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    base_url: str,
    *,
    probe: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    key: str | None = None,
) -> Iterator[Server]:
    """A server, from the moment it answers at `probe`.

    Raises:
        RuntimeError: it ended or stayed silent; the end of its log is in the message.
    """
    kept = {word: os.environ[word] for word in ("PATH", "LANG", "LC_ALL") if word in os.environ}
    variables = kept | {"HOME": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | dict(environment or {})
    log = folder / f"{name}.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=written, stderr=written, start_new_session=True
        )
    try:
        _await(probe, process, log)
        yield Server(name, base_url, process, key)
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]", *, how: int = signal.SIGTERM) -> None:
    """End a server with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def stub(folder: Path) -> Iterator[Server]:
    """nginx saying the same to everybody: the cheapest model there is."""
    port = free_port()
    body = json.dumps(ANSWER).replace("'", "")
    location = f"location / {{ default_type application/json; return 200 '{body}'; }}"
    with _nginx("stub", folder, port, location) as server:
        yield server


@contextmanager
def nginx(folder: Path, upstream: Server) -> Iterator[Server]:
    """nginx as the proxy, with connections kept open on both sides."""
    port = free_port()
    behind = upstream.base_url.removeprefix("http://").removesuffix("/v1")
    location = (
        "location / { proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off; }"
    )
    with _nginx("nginx", folder, port, location, f"upstream behind {{ server {behind}; keepalive 64; }}") as server:
        yield server


@contextmanager
def _nginx(name: str, folder: Path, port: int, location: str, before: str = "") -> Iterator[Server]:
    own = folder / name
    own.mkdir(exist_ok=True)
    temporary = " ".join(f"{kind}_temp_path {own}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (own / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {own}/pid; error_log {own}/error.log crit;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; {temporary} {before}\n"
        f"server {{ listen 127.0.0.1:{port}; {location} }} }}\n",
        encoding="utf-8",
    )
    command = [str(shutil.which("nginx")), "-c", str(own / "nginx.conf"), "-e", str(own / "error.log")]
    with running(name, command, f"http://127.0.0.1:{port}/v1", probe=f"http://127.0.0.1:{port}/v1", folder=own) as server:
        yield server


@contextmanager
def gateway(
    folder: Path, upstream: str, *, workers: int = 1, key: bool = True, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Continuum's gateway as a user starts it, on a home of its own, with a key that it checks."""
    from continuum.store.database import open_store

    home = folder / "home"
    home.mkdir(exist_ok=True)
    database = (environment or {}).get("CONTINUUM_DATABASE_URL", f"sqlite:///{home / 'continuum.db'}")
    secret = None
    store = open_store(database)
    store.tasks.ensure("support")
    if key:
        secret = store.gateway_keys.create("benchmark").secret.get_secret_value()
    store.close()
    port = free_port()
    variables = {"CONTINUUM_HOME": str(home), "CONTINUUM_UPSTREAM_BASE_URL": upstream}
    started = "from continuum.cli import main; main()"
    words = ["gateway", "--port", str(port), "--task", "support", "--workers", str(workers)]
    command = [sys.executable, "-c", started, *words]
    root = f"http://127.0.0.1:{port}"
    variables |= dict(environment or {})
    with running(
        "gateway", command, f"{root}/v1", probe=f"{root}/healthz", folder=folder, environment=variables, key=secret
    ) as one:
        yield one


@contextmanager
def litellm(folder: Path, upstream: str) -> Iterator[Server]:
    """LiteLLM's proxy: one worker, no database, no callbacks, a master key that it checks."""
    own = folder / "litellm"
    own.mkdir(exist_ok=True)
    config = {
        "model_list": [
            {"model_name": "gpt-4", "litellm_params": {"model": "openai/gpt-4", "api_base": upstream, "api_key": "none"}}
        ],
        "general_settings": {"master_key": MASTER_KEY},
        "litellm_settings": {"telemetry": False},
    }
    # JSON is YAML.
    (own / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    port = free_port()
    command = [
        str(LITELLM),
        "--config",
        str(own / "config.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    root = f"http://127.0.0.1:{port}"
    variables = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    probe = f"{root}/health/liveliness"
    with running("litellm", command, f"{root}/v1", probe=probe, folder=own, environment=variables, key=MASTER_KEY) as server:
        yield server


def _await(probe: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    patience = time.monotonic() + UP_S
    while time.monotonic() < patience:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(probe, timeout=2):  # noqa: S310 - our own server
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    end_of_log = log.read_text(encoding="utf-8", errors="replace")[-800:]
    raise RuntimeError(f"{log.stem} did not come up (exit code {process.poll()}): {end_of_log}")


def _tree(pid: int) -> list[int]:
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                left += map(int, task.read_text().split())
    return found


def _stores(pid: int) -> bool:
    with suppress(OSError):
        return STORES in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _cpu_s(of: Path) -> float:
    try:
        fields = (of / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
