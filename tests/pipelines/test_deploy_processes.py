"""What the services of compose.yaml run, as processes: each command, environment, secret and health check as it stands there.

What a container would give them stands in: the addresses are this machine's, `/data` and `/dagster` are folders of the test, and
Postgres is a real one, which asks for the password.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    TickStatus,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget

from benchmarks.deployment.postgres import postgres as a_postgres
from continuum.store.database import open_store
from tests.builders import interactions
from tests.test_deploy import composed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PASSWORD = "p@ss/w:rd %40"  # noqa: S105  of this test's own Postgres
PORTS = ("3000", "4000", "5000", "8787", "8790")
UP_S = 150.0
SAID_ERROR = re.compile(r"^.*(?:\bERROR\b|\bCRITICAL\b|Traceback \(most recent call last\)).*$", re.MULTILINE)


class Stack:
    """The services that have been started, and where they are."""

    def __init__(self, services: dict[str, Any], folder: Path, postgres: Path) -> None:
        self.services, self.folder, self.postgres = services, folder, postgres
        self.ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def here(self, text: str) -> str:
        """A command's or a variable's text, with this machine's places in those of the containers."""
        text = re.sub(r"@postgres/(\w+)", rf"@/\1?host={self.postgres}", text)
        text = re.sub(r"\b(" + "|".join(PORTS) + r")\b", lambda found: self.ports[found[1]], text)
        text = re.sub(r"(?<=//)(mlflow|gateway|models)(?=:)", "127.0.0.1", text).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        for place in ("/run/secrets", "/data", "/dagster"):
            text = re.sub(rf"(?<![\w/@]){place}(?![\w.])", str(self.folder / place.rpartition("/")[2]), text)
        return text

    def environment(self, service: str) -> dict[str, str]:
        """What the service is told and nothing of this machine, on top of what the image says."""
        image = (ROOT / "deploy" / "Dockerfile").read_text()
        said = dict(re.findall(r"^(?:ENV|   ) ([A-Z_]+)=([^\s\\]+)", image[image.rindex("FROM ") :], re.MULTILINE))
        told = {name: value or "" for name, value in self.services[service]["environment"].items()}
        found = {name: self.here(value) for name, value in {**said, **told}.items()}
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
        return {**found, "PATH": path, "HOME": str(self.folder / "tmp"), "OMP_NUM_THREADS": "1"}

    def asked(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the service's environment, as `docker compose exec` does."""
        where = self.folder / "data"
        return subprocess.run(
            command, env=self.environment(service), cwd=where, capture_output=True, text=True, check=False, timeout=UP_S
        )

    def start(self, *services: str) -> None:
        """Start what the services run, and wait until the health check of each says that it is well."""
        for service in services:
            command = ["entrypoint", *map(self.here, self.services[service]["command"])]
            with self.log(service).open("wb") as log:
                self.running[service] = subprocess.Popen(
                    command,
                    executable=str(self.folder / "bin" / "entrypoint"),
                    env=self.environment(service),
                    cwd=self.folder / "data",
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        for service in services:
            until(lambda service=service: self.lives(service) and self.is_well(service), f"{service} to be well", self.told)

    def is_well(self, service: str) -> bool:
        check = [self.here(word) for word in self.services[service]["healthcheck"]["test"][1:]]
        return self.asked(service, *check).returncode == 0

    def lives(self, service: str) -> bool:
        code = self.running[service].poll()
        assert code is None, f"{service} ended with {code}:\n{self.told()}"
        return True

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"

    def told(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {name}\n{self.log(name).read_text()[-3000:]}" for name in self.running)

    def stop(self) -> None:
        for process in reversed(self.running.values()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def until(happens: Callable[[], Any], what: str, told: Callable[[], str], seconds: float = UP_S) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := happens():
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds:.0f} s for {what}\n{told()}")


@pytest.fixture
def postgres() -> Iterator[Path]:
    """A Postgres of its own, with the databases of deploy/databases.sql, that asks the user `continuum` for the password."""
    with a_postgres() as server:
        folder = Path(server.url.partition("?host=")[2])
        with contextlib.closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("CREATE ROLE continuum LOGIN PASSWORD %s", (PASSWORD,))
            cursor.execute("CREATE DATABASE continuum OWNER continuum")
            for statement in re.findall(r"^CREATE.*?;", (ROOT / "deploy" / "databases.sql").read_text(), re.MULTILINE):
                cursor.execute(statement)
            rules = folder / "pg_hba.conf"
            rules.write_text("local all continuum scram-sha-256\n" + rules.read_text())
            cursor.execute("SELECT pg_reload_conf()")
        yield folder


@pytest.fixture
def stack(postgres: Path, tmp_path: Path) -> Iterator[Stack]:
    """The services of compose.yaml, none of them started yet."""
    stack = Stack(composed("compose.yaml")["services"], tmp_path, postgres)
    for folder in ("bin", "tmp", "data", "dagster/storage", "secrets"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bin" / "entrypoint").symlink_to(ROOT / "deploy" / "entrypoint.sh")
    (tmp_path / "secrets" / "postgres_password").write_text(PASSWORD + "\n")
    (tmp_path / "secrets" / "openai_api_key").write_text("no-endpoint-is-asked\n")
    shutil.copy(ROOT / "deploy" / "dagster.yaml", tmp_path / "dagster")
    workspace = (ROOT / "deploy" / "workspace.yaml").read_text().replace("host: code", "host: 127.0.0.1")
    (tmp_path / "dagster" / "workspace.yaml").write_text(stack.here(workspace))
    try:
        yield stack
    finally:
        stack.stop()


def asked_graphql(stack: Stack, query: str, **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.ports['3000']}/graphql", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        told = json.load(reply)
    assert "errors" not in told, told
    return told["data"]


LAUNCH = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""


def test_every_service_runs_as_compose_says_and_dagster_works_on_postgres(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    told = stack.environment("code")
    for name in ("CONTINUUM_DATABASE_URL", "DAGSTER_POSTGRES_URL"):
        monkeypatch.setenv(name, told[name])
    with pytest.raises(Exception, match="password"):
        psycopg2.connect(told["DAGSTER_POSTGRES_URL"].replace("+psycopg2", ""))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with contextlib.closing(open_store(told["CONTINUUM_DATABASE_URL"])) as store:
        store.tasks.ensure("support")
        store.interactions.add(interactions(5))

    made = stack.asked("gateway", "entrypoint", "continuum", "keys", "create", "app")
    assert (made.returncode, made.stdout[:3]) == (0, "ck-"), made.stderr
    stack.start("mlflow", "code")
    with dg.DagsterInstance.from_config(str(stack.folder / "dagster")) as instance:
        assert "Postgres" in type(instance.event_log_storage).__name__
        target = GrpcServerTarget("127.0.0.1", int(stack.ports["4000"]), None, "continuum_pipelines")
        with WorkspaceProcessContext(instance, target) as workspace:
            location = workspace.create_request_context().get_code_location("continuum_pipelines")
            (repository,) = location.get_repositories().values()
            sensor = repository.get_sensor("new_tasks")
            schedule = repository.get_schedules()[0]
            # It was due while nobody was there: its first tick need not be waited for.
            since = ScheduleInstigatorData(schedule.cron_schedule, (datetime.now(UTC) - timedelta(days=2)).timestamp())
            origin = schedule.get_remote_origin()
            instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, since))
        stack.start("webserver", "daemon", "gateway", "models")
        until(lambda: "support" in instance.get_dynamic_partitions("task"), "a sensor to add the partition", stack.told)

        selector = {
            "repositoryLocationName": "continuum_pipelines",
            "repositoryName": repository.name,
            "pipelineName": "annotation",
        }
        partition = {"key": "dagster/partition", "value": "support"}
        params = {"selector": selector, "mode": "default", "executionMetadata": {"tags": [partition]}}
        launched = asked_graphql(stack, LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]

        def ended() -> bool:
            run = instance.get_run_by_id(run_id)
            return run is not None and run.is_finished

        until(ended, "the run to end", stack.told)
        (status,) = (run.status for run in instance.get_runs(dg.RunsFilter(run_ids=[run_id])))
        failures = [str(entry.dagster_event) for entry in instance.all_logs(run_id) if "FAILURE" in str(entry.dagster_event)]
        assert status is dg.DagsterRunStatus.SUCCESS, failures
        assert instance.get_latest_materialization_event(dg.AssetKey("judged_annotations")) is not None
        until(lambda: instance.get_ticks(origin.get_id(), schedule.selector_id), "a tick of the schedule", stack.told)
        sensed = instance.get_ticks(sensor.get_remote_origin().get_id(), sensor.selector_id)
        scheduled = instance.get_ticks(origin.get_id(), schedule.selector_id)
        # A tick that only adds a partition asks for no run.
        assert {tick.status for tick in (*sensed, *scheduled)} <= {TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.STARTED}
        health = asked_graphql(stack, "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }")
        daemons = health["instance"]["daemonHealth"]["allDaemonStatuses"]
        assert all(daemon["healthy"] for daemon in daemons if daemon["required"]), daemons

    assert stack.running.keys() == stack.services.keys() - {"postgres"}
    for service in stack.running:
        stack.lives(service)
        said = stack.log(service).read_text()
        assert SAID_ERROR.findall(said) == [], service
        assert PASSWORD not in said, service
        assert PASSWORD not in Path(f"/proc/{stack.running[service].pid}/cmdline").read_text(), service
    # A container's root is read-only: what is written to DAGSTER_HOME must be in its volume.
    assert {path.name for path in (stack.folder / "dagster").iterdir()} == {"dagster.yaml", "workspace.yaml", "storage"}
    assert list((stack.folder / "dagster" / "storage").rglob("*.out")), "what the run printed is for the webserver to show"
