"""A real Dagster as a team runs it: daemon and webserver in processes of their own on a Postgres, all of which can be killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import psycopg2
import yaml

from continuum_pipelines.claims import PARTITION_TAG
from continuum_pipelines.run_workers import RunWorker

ROOT = Path(__file__).parents[2]
LOCATION = "benchmarks.orchestration.location"
PATIENCE_S = 300.0
LAUNCH = """mutation ($it: ExecutionParams!) { launchRun(executionParams: $it) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on InvalidSubsetError { message } ... on PythonError { message } } }"""
BACKFILL = """mutation ($it: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $it) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
TERMINATE = """mutation ($it: String!) { terminateRun(runId: $it) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""

LOOK = """query { runsOrError(limit: 1) { __typename } assetsOrError { __typename } instance { daemonHealth { id } }
  runTagKeysOrError { __typename } schedulesOrError(repositorySelector: {repositoryName: "__repository__",
  repositoryLocationName: "%s"}) { __typename } }"""

T = TypeVar("T")


class Stack:
    """Daemon and webserver on one home; the daemon is started again when it ends by itself, as a service is.

    Args:
        home: of Dagster, with its dagster.yaml.
        environment: of all its processes.
        location: the module that holds the definitions.
        webserver: whether there is one.
    """

    def __init__(self, home: Path, environment: Mapping[str, str], *, location: str = LOCATION, webserver: bool = True) -> None:
        self.home, self.location = home, location
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME", "TMPDIR", "XDG_RUNTIME_DIR") if name in os.environ}
        ours = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DAGSTER_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        self.environment = {**kept, **ours, **environment}
        self.restarts = 0
        self.port = free_port() if webserver else None
        self._daemon: subprocess.Popen | None = None
        self._webserver: subprocess.Popen | None = None
        self._leave = threading.Event()
        self._lock = threading.Lock()
        self._instance: dg.DagsterInstance | None = None

    def __enter__(self) -> "Stack":
        # Its tables are made before anybody else looks: of several who make them at once on SQLite, some fail.
        assert self.instance
        self.start()
        threading.Thread(target=self._keep, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self.kill_everything()

    @property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's memory, from this process."""
        if self._instance is None:
            self._instance = dg.DagsterInstance.from_config(str(self.home))
        return self._instance

    def start(self) -> None:
        """Start what does not run, and wait until the webserver answers."""
        with self._lock:
            self._start_daemon()
            if self.port is not None and (self._webserver is None or self._webserver.poll() is not None):
                self._webserver = self._popen(
                    "webserver", "dagster-webserver", "-h", "127.0.0.1", "-p", str(self.port), "-m", self.location
                )
        if self.port is not None:
            address = f"http://127.0.0.1:{self.port}/server_info"
            eventually(lambda: urllib.request.urlopen(address, timeout=5).status == 200, "the webserver answers")

    def kill_daemon(self) -> None:
        """kill -9 of the daemon alone; its code server and what that executes live on."""
        with self._lock:
            assert self._daemon is not None
            self._daemon.send_signal(signal.SIGKILL)
            self._daemon.wait()

    def start_daemon(self) -> None:
        """Start it again."""
        with self._lock:
            self._start_daemon()

    def kill_everything(self) -> None:
        """kill -9 of daemon, webserver, code servers and the processes of runs, all at once."""
        with self._lock:
            for process in (self._daemon, self._webserver):
                if process is not None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def materialize(self, asset: str, task: str) -> str:
        """Launch a run of one asset of a task, as the UI does; returns its id."""
        return self.launch(task, "__ASSET_JOB", [asset])

    def launch(self, task: str, job: str, assets: Sequence[str] | None = None) -> str:
        """Launch a run of a job, or of some of its assets; returns its id."""
        selector = {"repositoryLocationName": self.location, "repositoryName": "__repository__", "jobName": job}
        if assets is not None:
            selector["assetSelection"] = [{"path": [asset]} for asset in assets]
        tags = [{"key": PARTITION_TAG, "value": task}]
        wanted = {"selector": selector, "runConfigData": {}, "mode": "default", "executionMetadata": {"tags": tags}}
        return self.ask(LAUNCH, wanted)["run"]["runId"]

    def backfill(self, assets: Sequence[str], tasks: Sequence[str]) -> str:
        """Launch a backfill, as the UI does; returns its id."""
        wanted = [{"path": [asset]} for asset in assets]
        return self.ask(BACKFILL, {"assetSelection": wanted, "partitionNames": list(tasks)})["backfillId"]

    def terminate(self, run: str) -> None:
        """Cancel a run, as the UI does."""
        self.ask(TERMINATE, run)

    def look(self) -> None:
        """Look at runs, assets and schedules, as a person does: after a database was away, each first look may fail."""
        eventually(lambda: self._post(LOOK % self.location, None).get("data"), "the webserver has found its database again")

    def ask(self, query: str, it: Any) -> dict[str, Any]:
        """Ask the webserver for one thing.

        Raises:
            RuntimeError: it does not do it.
        """
        said = self._post(query, it)
        if not said.get("data"):
            raise RuntimeError(str(said)[:2000])
        (found,) = said["data"].values()
        if not found["__typename"].endswith("Success"):
            raise RuntimeError(str(found)[:2000])
        return found

    def _post(self, query: str, it: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": {"it": it}}).encode()
        address = f"http://127.0.0.1:{self.port}/graphql"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  our own server
            return json.load(answer)

    def worker_of(self, run: str) -> RunWorker | None:
        """Which process executes a run; None while none does."""
        found = self.instance.get_run_by_id(run)
        return None if found is None else RunWorker.of(found)

    def said(self, run: str) -> list[str]:
        """What a run's log says."""
        return [entry.message for entry in self.instance.all_logs(run)]

    def _start_daemon(self) -> None:
        if self._daemon is None or self._daemon.poll() is not None:
            self._daemon = self._popen("daemon", "dagster-daemon", "run", "-m", self.location)

    def _keep(self) -> None:
        while not self._leave.wait(0.5):
            with self._lock:
                # One that was killed on purpose is started by whoever killed it.
                if self._daemon is not None and self._daemon.poll() not in (None, -signal.SIGKILL):
                    self.restarts += 1
                    self._start_daemon()

    def _popen(self, name: str, program: str, *arguments: str) -> subprocess.Popen:
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        how = {"cwd": ROOT, "env": self.environment, "start_new_session": True, "preexec_fn": heed_interrupts}
        with (self.home / f"{name}.log").open("ab") as log:
            # A shell's background job ignores SIGINT, and Dagster then ignores SIGTERM as well.
            return subprocess.Popen(command, stdout=log, stderr=log, **how)


def heed_interrupts() -> None:
    """Let an interrupt end a process again."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def eventually(holds: Callable[[], T], what: str, *, within_s: float = PATIENCE_S) -> T:
    """Wait until something is so; what cannot be asked now is not so yet.

    Raises:
        TimeoutError: it does not come about.
    """
    until, trouble = time.monotonic() + within_s, ""
    while time.monotonic() < until:
        try:
            if found := holds():
                return found
        except Exception as error:  # noqa: BLE001  the database or a server is away in between
            trouble = f": {error}"
        time.sleep(0.1)
    raise TimeoutError(f"it did not come about in {within_s:g} s that {what}{trouble}")


def make_home(home: Path, **monitoring: int) -> None:
    """Dagster's home of a team, with its clocks set forward: what takes half a minute there takes a second here."""
    home.mkdir(parents=True)
    settings = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    hasty = {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1, "cancel_timeout_seconds": 60}
    settings["run_monitoring"] |= hasty | monitoring
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))


@contextmanager
def databases(url: str, *names: str) -> Iterator[list[str]]:
    """New databases of a Postgres, by the addresses that Dagster takes too."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f'CREATE DATABASE "{name}"')
    connection.close()
    yield [url.replace("/postgres?", f"/{name}?").replace("postgresql://", "postgresql+psycopg2://") for name in names]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def processes_of(home: Path, words: str) -> list[int]:
    """The living processes with a home whose command holds some words."""
    found, wanted = [], f"CONTINUUM_HOME={home}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                is_gone = (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                fits = words.encode() in (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                if fits and not is_gone and wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found
