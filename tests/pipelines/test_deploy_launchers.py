"""The launchers of deploy/docker and deploy/kubernetes, as they are, ask a stand-in for the engine and one for the cluster."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config
from dagster._core.launcher import LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_docker import DockerRunLauncher
from dagster_k8s import K8sRunLauncher

from continuum.progress import silent
from continuum.training.job import REPORT, FitReport, write_json
from continuum_pipelines.launchers import KubernetesLauncher, open_pod_client
from tests.tiny_model import write_tiny_job

# The clusters' client alone takes seconds to load.
pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy"
VERSION = "1.37.0"
IMAGE = "continuum-ai:0.1.0"
FINISHED_JOB = {"status": {"failed": 1}, "metadata": {"name": "run"}}


class Heard:
    """What was asked of a stand-in, and what it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.answers: list[tuple[str, str, int, Any]] = []

    def bodies(self, method: str, pattern: str) -> list[Any]:
        return [body for asked, path, body in self.requests if asked == method and re.search(pattern, path)]

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        for known, pattern, status, content in self.answers:
            if known == method and re.search(pattern, path):
                return status, content
        return 404, {"message": f"the stand-in knows no {method} {path}"}


@contextmanager
def standing_in(*answers: tuple[str, str, int, Any]) -> Iterator[tuple[Heard, str]]:
    """A server on loopback that writes down what it is asked and answers what it was told to."""
    heard = Heard()
    heard.answers = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            content = self.rfile.read(length)
            path = self.path.split("?")[0]
            heard.requests.append((self.command, path, json.loads(content) if content else None))
            status, told = heard.answer(self.command, path)
            body = json.dumps(told).encode() if told is not None else b""
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = handle_any

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield heard, f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@dg.job
def turning() -> None:
    """A job whose code is in the image."""


def a_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTING) -> dg.DagsterRun:
    code = RepositoryPythonOrigin(
        executable_path="python",
        code_pointer=ModuleCodePointer("continuum_pipelines.definitions", "defs"),
        container_image=IMAGE,
        entry_point=["dagster"],
    )
    return instance.create_run_for_job(turning, job_code_origin=JobPythonOrigin(turning.name, code), status=status)


def configured(folder: str, kind: type) -> dict[str, Any]:
    """The launcher's configuration, read by the launcher's own schema."""
    written = yaml.safe_load((DEPLOY / folder / "dagster.yaml").read_text())["run_launcher"]
    found = process_config(resolve_to_config_type(kind.config_type()), written["config"])
    assert found.success, found.errors
    assert found.value is not None
    return dict(found.value)


def launched(launcher: RunLauncher, instance: dg.DagsterInstance) -> dg.DagsterRun:
    launcher.register_instance(instance)
    run = a_run(instance)
    launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


@pytest.mark.parametrize("file", ["dagster.yaml", "docker/dagster.yaml", "kubernetes/dagster.yaml"])
def test_dagster_accepts_the_instance(file: str) -> None:
    config, _ = dagster_instance_config(str((DEPLOY / file).parent))
    assert config["run_monitoring"]["enabled"] is True


def test_a_misspelt_setting_of_an_instance_would_be_refused(tmp_path: Path) -> None:
    written = (DEPLOY / "dagster.yaml").read_text().replace("run_monitoring:", "run_monitorings:")
    (tmp_path / "dagster.yaml").write_text(written)
    with pytest.raises(dg.DagsterInvalidConfigError, match="run_monitorings"):
        dagster_instance_config(str(tmp_path))


# --- Docker --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """A stand-in for Docker's engine, and an environment with all that a run is told."""
    answers = (
        ("GET", "/version$", 200, {"ApiVersion": "1.47", "MinAPIVersion": "1.24"}),
        ("POST", "/containers/create$", 201, {"Id": "c0ffee", "Warnings": []}),
        ("GET", "/containers/c0ffee/json$", 200, {"Id": "c0ffee", "State": {"Status": "running"}}),
        ("GET", "/networks/continuum_store$", 200, {"Id": "store", "Name": "continuum_store"}),
        ("POST", "/networks/store/connect$", 200, None),
        ("POST", "/containers/c0ffee/(start|stop)$", 204, None),
    )
    for name in configured("docker", DockerRunLauncher)["env_vars"]:
        monkeypatch.setenv(name, f"the {name}")
    with standing_in(*answers) as (heard, address):
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{address}")
        yield heard


def test_a_run_in_a_container_is_no_root_and_has_the_volumes_and_the_environment(
    engine: Heard, home_instance: dg.DagsterInstance
) -> None:
    config = configured("docker", DockerRunLauncher)
    run = launched(DockerRunLauncher(**config), home_instance)

    (asked,) = engine.bodies("POST", "/containers/create$")
    host = asked["HostConfig"]
    assert asked["Image"] == IMAGE
    assert asked["User"] == "10001:10001"
    assert {name.split("=")[0] for name in asked["Env"]} == {*config["env_vars"], "DAGSTER_RUN_JOB_NAME"}
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert host["Memory"] == 16 * 2**30
    assert {bind.split(":")[1] for bind in host["Binds"]} == {"/data", "/dagster/storage"}
    assert asked["Cmd"][:3] == ["dagster", "api", "execute_run"]
    assert engine.bodies("POST", "/networks/store/connect$")
    assert engine.bodies("POST", "/containers/c0ffee/start$") == [None]
    assert run.tags["docker/container_id"] == "c0ffee"


def test_a_container_that_runs_is_well_and_one_that_is_gone_is_missed(engine: Heard, home_instance: dg.DagsterInstance) -> None:
    launcher = DockerRunLauncher(**configured("docker", DockerRunLauncher))
    run = launched(launcher, home_instance)
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING

    assert launcher.terminate(run.run_id)
    assert engine.bodies("POST", "/containers/c0ffee/stop$")

    engine.answers = [answer for answer in engine.answers if "c0ffee/json" not in answer[1]]
    assert launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND


# --- Kubernetes ----------------------------------------------------------------------------------------------------------

ENDED = {
    "name": "worker",
    "ready": False,
    "restartCount": 0,
    "image": IMAGE,
    "imageID": IMAGE,
    "state": {"terminated": {"exitCode": 0}},
}
POD = {
    "metadata": {"name": "run-pod"},
    "spec": {"containers": [{"name": "worker"}]},
    "status": {"phase": "Succeeded", "containerStatuses": [ENDED]},
}


@pytest.fixture
def cluster() -> Iterator[tuple[Heard, str]]:
    """A stand-in for a cluster's API."""
    jobs, core = "/apis/batch/v1/namespaces/continuum/jobs", "/api/v1/namespaces/continuum"
    with standing_in(
        ("POST", f"{jobs}$", 201, {"kind": "Job"}),
        ("GET", f"{jobs}$", 200, {"items": []}),
        ("GET", f"{jobs}/[^/]+/status$", 200, FINISHED_JOB),
        ("GET", f"{jobs}/[^/]+$", 200, FINISHED_JOB),
        ("DELETE", f"{jobs}/[^/]+$", 200, {"status": "Success"}),
        ("GET", f"{core}/pods$", 200, {"items": [POD]}),
        ("GET", f"{core}/pods/[^/]+$", 200, POD),
        ("GET", f"{core}/pods/[^/]+/log$", 200, "what the pod said"),
        ("POST", f"{core}/pods$", 201, POD),
        ("DELETE", f"{core}/pods/[^/]+$", 200, POD),
        ("GET", f"{core}/events$", 200, {"items": []}),
    ) as (heard, address):
        yield heard, address


@pytest.fixture
def kubeconfig(cluster: tuple[Heard, str], tmp_path: Path) -> str:
    """A file by which a client finds the stand-in."""
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": f"http://{cluster[1]}"}}],
        "users": [{"name": "me", "user": {"token": "none-is-needed"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "here",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(written))
    return str(tmp_path / "kubeconfig")


@pytest.fixture
def pod_launcher(kubeconfig: str) -> K8sRunLauncher:
    """The launcher as deploy/kubernetes configures it, but that it finds the stand-in by a file."""
    config = configured("kubernetes", K8sRunLauncher)
    return K8sRunLauncher(**{**config, "load_incluster_config": False, "kubeconfig_file": kubeconfig})


def held_to_the_namespace(pod: dict[str, Any]) -> None:
    """What the namespace enforces: pods that break it would never start."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_a_run_is_a_job_that_kubernetes_takes(
    pod_launcher: K8sRunLauncher, cluster: tuple[Heard, str], home_instance: dg.DagsterInstance
) -> None:
    launched(pod_launcher, home_instance)

    (job,) = cluster[0].bodies("POST", "/jobs$")
    kubernetes_validate.validate(job, VERSION, strict=True)
    pod = job["spec"]["template"]["spec"]
    held_to_the_namespace(pod)
    (container,) = pod["containers"]
    assert pod["serviceAccountName"] == "continuum-runs"
    assert container["image"] == IMAGE, "the image that the code location was loaded from"
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts["/data"] == mounts["/dagster/storage"] == "data"
    assert "/dagster/dagster.yaml" in mounts
    assert {source["configMapRef"]["name"] for source in container["envFrom"]} == {"continuum-environment"}
    secrets = {variable["name"] for variable in container["env"] if "secretKeyRef" in (variable.get("valueFrom") or {})}
    assert secrets == {"PGPASSWORD", "OPENAI_API_KEY"}
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    assert claims == {"continuum-data"}


def test_a_run_may_ask_for_more_memory_and_not_for_another_account(
    pod_launcher: K8sRunLauncher, cluster: tuple[Heard, str], home_instance: dg.DagsterInstance
) -> None:
    pod_launcher.register_instance(home_instance)
    run = a_run(home_instance)
    wanted = {"container_config": {"resources": {"limits": {"memory": "64Gi"}}}}
    larger = run.with_tags({**run.tags, "dagster-k8s/config": json.dumps(wanted)})

    pod_launcher.launch_run(LaunchRunContext(dagster_run=larger, workspace=None))

    (job,) = cluster[0].bodies("POST", "/jobs$")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "64Gi"
    for wanted in ({"container_config": {"security_context": {"privileged": True}}}, {"pod_spec_config": {"host_network": True}}):
        other = run.with_tags({**run.tags, "dagster-k8s/config": json.dumps(wanted)})
        with pytest.raises(Exception, match="violated the allowed list"):
            pod_launcher.launch_run(LaunchRunContext(dagster_run=other, workspace=None))


def rights_of(requests: list[tuple[str, str, Any]]) -> set[tuple[str, str, str]]:
    """The rights that were used: API group, resource and verb."""
    used = set()
    for method, path, _ in requests:
        found = re.fullmatch(r"/(?:api|apis/(\w+))/v1/namespaces/continuum/(\w+)(?:/[^/]+(?:/(\w+))?)?", path)
        assert found, path
        group, resource, part = found.groups()
        single = path.count("/") > (6 if group else 5)
        verb = {"POST": "create", "DELETE": "delete", "GET": "get" if single else "list"}[method]
        used.add((group or "", f"{resource}/{part}" if part else resource, verb))
    return used


def granted(role: str) -> set[tuple[str, str, str]]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes" / "access.yaml").read_text())
    (found,) = [one for one in documents if one["kind"] == "Role" and one["metadata"]["name"] == role]
    return {
        (group, resource, verb)
        for rule in found["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_launcher_has_the_rights_that_it_uses_and_no_other(
    pod_launcher: K8sRunLauncher, cluster: tuple[Heard, str], home_instance: dg.DagsterInstance
) -> None:
    heard, _ = cluster
    run = launched(pod_launcher, home_instance)
    assert pod_launcher.check_run_worker_health(run).status is WorkerStatus.FAILED
    pod_launcher.get_run_worker_debug_info(run)
    heard.answers.insert(0, ("GET", "/pods$", 200, {"items": []}))
    pod_launcher.get_run_worker_debug_info(run)
    heard.answers.pop(0)
    pod_launcher.terminate(run.run_id)

    assert rights_of(heard.requests) == granted("continuum-launcher")


def test_a_training_has_a_pod_that_kubernetes_takes_and_a_run_the_rights_to_see_it_through(
    cluster: tuple[Heard, str], kubeconfig: str, tmp_path: Path
) -> None:
    folder, training = tmp_path / "key", yaml.safe_load((DEPLOY / "kubernetes" / "training.yaml").read_text())
    write_tiny_job(tmp_path / "base", folder)
    # What the worker would have left, had there been one.
    write_json(folder / REPORT, FitReport(initial_loss=2, final_loss=1, steps=1, epochs=1).model_dump(mode="json"))
    client: Any = open_pod_client()
    client.kubeconfig_file, client.poll_interval = kubeconfig, 0.05

    @dg.asset
    def trained(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        fields = {name: training[name] for name in ("namespace", "pod_spec", "environment")}
        KubernetesLauncher(context, client, training["image"], **fields).launch(folder, silent)
        return dg.MaterializeResult()

    assert dg.materialize([trained]).success

    heard, _ = cluster
    (pod,) = heard.bodies("POST", "/pods$")
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **pod}, VERSION, strict=True)
    held_to_the_namespace(pod["spec"])
    assert (pod["spec"]["serviceAccountName"], pod["spec"]["automountServiceAccountToken"]) == ("continuum", False)
    assert pod["metadata"]["labels"]["continuum/job"] == "key"
    assert rights_of(heard.requests) == {right for right in granted("continuum-runs") if right[1] != "events"}
