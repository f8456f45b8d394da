"""What is measured: how each subject is set up, and the processes it runs in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, Any

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
ANSWER_S = 120.0
"""Who has not answered by then never will; the heaviest peer needs some seconds to come up on a busy machine."""


@dataclass(frozen=True)
class Subject:
    """One way to capture a call."""

    name: str
    shown: str
    """As tables name it."""
    wrapper: str
    """Its name in `subjects/wrappers.py`."""
    peer: bool = True
    memory: bool = False
    tracking_store: bool = False
    """MLflow with its own SQLite tracking store instead of an OTLP endpoint."""

    @property
    def python(self) -> Path:
        """The interpreter it runs in."""
        return PEERS_PYTHON if self.peer else Path(sys.executable)

    def environment(self, folder: Path, sink: str, database_url: str | None = None) -> dict[str, str]:
        """The variables of its process: everything it writes lies in the folder, everything it sends goes to the sink."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        common = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
        common["PYTHONDONTWRITEBYTECODE"] = ""
        if self.wrapper == "continuum":
            own = {"CONTINUUM_HOME": str(folder / "home"), "CONTINUUM_DURABILITY": "memory" if self.memory else "disk"}
            return kept | common | own | ({"CONTINUUM_DATABASE_URL": database_url} if database_url else {})
        return kept | common | self._peer_environment(folder, sink)

    def _peer_environment(self, folder: Path, sink: str) -> dict[str, str]:
        if self.wrapper == "langfuse":
            return {"LANGFUSE_PUBLIC_KEY": "pk-lf-benchmark", "LANGFUSE_SECRET_KEY": "sk-lf-benchmark", "LANGFUSE_BASE_URL": sink}
        if self.wrapper == "traceloop":
            return {"TRACELOOP_BASE_URL": sink, "TRACELOOP_TELEMETRY": "false", "TRACELOOP_METRICS_ENABLED": "false"}
        if self.tracking_store:
            return {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
        return {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{sink}/v1/traces", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


NOTHING = Subject("none", "no capture", "none", peer=False)
DISK = Subject("continuum", "Continuum, durable", "continuum", peer=False)
MEMORY = Subject("continuum-memory", "Continuum, memory", "continuum", peer=False, memory=True)
LANGFUSE = Subject("langfuse", "Langfuse @observe", "langfuse")
MLFLOW = Subject("mlflow", "MLflow @trace (OTLP)", "mlflow")
MLFLOW_STORE = Subject("mlflow-store", "MLflow @trace (SQLite)", "mlflow", tracking_store=True)
OPENINFERENCE = Subject("openinference", "OpenInference @llm", "openinference")
TRACELOOP = Subject("traceloop", "OpenLLMetry @task", "traceloop")
OTEL = Subject("otel", "bare OpenTelemetry span", "otel")
PEERS = (LANGFUSE, MLFLOW, OPENINFERENCE, TRACELOOP, OTEL)


def peers_are_there() -> bool:
    """Whether `make bench-peers` has been run."""
    return PEERS_PYTHON.exists()


def start(
    subject: Subject, program: str, arguments: list[str], environment: Mapping[str, str], folder: Path, **pipes: Any
) -> subprocess.Popen[str]:
    """Start a program of `subjects/` for a subject, in the folder; what it prints to stderr is kept in a file there."""
    with (folder / "stderr.txt").open("a") as errors:
        return subprocess.Popen(
            [str(subject.python), "-m", f"benchmarks.capture.subjects.{program}", *arguments],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            **pipes,
        )


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Whatever happens, the process is gone afterwards."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class Worker:
    """A subject's process that carries out orders, one line of JSON each."""

    def __init__(self, process: subprocess.Popen[str], subject: Subject, folder: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.subject, self._process, self._folder = subject, process, folder
        self._orders: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout

    def wait_until_ready(self) -> None:
        """Return when it is set up."""
        self._line()

    def order(self, **order: Any) -> dict[str, Any]:
        """Have an order carried out."""
        print(json.dumps(order), file=self._orders, flush=True)
        return json.loads(self._line())

    def _line(self) -> str:
        # A process that hangs is ended, and its pipe with it; waiting on the pipe alone might last for ever.
        patience = Timer(ANSWER_S, self._process.kill)
        patience.start()
        try:
            line = self._answers.readline()
        finally:
            patience.cancel()
        if not line:
            tail = (self._folder / "stderr.txt").read_text(errors="replace")[-1500:]
            raise RuntimeError(f"{self.subject.shown} ended early; its last words were:\n{tail}")
        return line
