"""What is in deploy/ is what it says: accepted by the real tools, the same everywhere, and without a right or a port too many."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
TOOLS = Path(sys.executable).parent
OURS = {"mlflow", "code", "daemon", "webserver", "gateway", "models"}
VERSIONS = ("1.34.0", "1.37.0")
"""Of Kubernetes, whose schemas the manifests must pass."""


# --- compose and the image -----------------------------------------------------------------------------------------------


def composed(*files: str, **environment: str) -> dict[str, Any]:
    """What `docker compose` makes of some files: its own reading, by its own schema."""
    chosen = [part for file in files for part in ("--file", file)]
    command = [str(TOOLS / "docker-compose"), *chosen, "config", "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def team() -> dict[str, Any]:
    return composed("compose.yaml")


def test_compose_has_every_service_of_a_team_and_says_when_each_is_well(team: dict[str, Any]) -> None:
    assert team["services"].keys() == OURS | {"postgres"}
    for name, service in team["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


def test_no_service_is_root_or_can_become_it(team: dict[str, Any]) -> None:
    for name, service in team["services"].items():
        assert service["user"].split(":")[0] not in ("", "0", "root"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
    assert all(team["services"][name]["read_only"] for name in OURS)


def test_no_port_is_open_beyond_this_machine_and_postgres_has_none(team: dict[str, Any]) -> None:
    open_ports = {name: service.get("ports", []) for name, service in team["services"].items()}
    assert {name for name, ports in open_ports.items() if ports} == {"webserver", "mlflow", "gateway"}
    assert {port["host_ip"] for ports in open_ports.values() for port in ports} == {"127.0.0.1"}
    assert team["services"]["postgres"]["networks"] == {"store": None}
    assert team["networks"]["store"]["internal"]


def test_every_service_has_a_limit_of_memory_and_of_processes(team: dict[str, Any]) -> None:
    for name, service in team["services"].items():
        assert {"memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name


def test_images_are_pinned_to_a_version_and_are_the_ones_of_the_package(team: dict[str, Any]) -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {name: service["image"] for name, service in team["services"].items()}
    assert {images.pop("postgres")} == {"postgres:17.6-trixie"}
    assert set(images.values()) == {f"continuum-ai:{version}"}
    bases = [line.split()[1] for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("FROM ")]
    assert set(bases) == {"python:3.11.14-slim-trixie"}


def test_no_secret_is_in_an_environment_or_a_command(team: dict[str, Any]) -> None:
    for name, service in team["services"].items():
        said = {key for key in service["environment"] if any(word in key for word in ("PASSWORD", "API_KEY", "SECRET"))}
        assert all(key.endswith("_FILE") for key in said), name
        assert "://continuum:" not in json.dumps(service), name
        mounted = {secret["target"] for secret in service["secrets"]}
        assert {service["environment"][key] for key in said} == mounted, f"{name} is given a secret that it does not read"
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy/secrets/" in (ROOT / ".dockerignore").read_text().splitlines()


def test_what_is_written_goes_to_volumes_that_the_image_gave_to_its_user(team: dict[str, Any]) -> None:
    image = (DEPLOY / "Dockerfile").read_text()
    (given,) = [line for line in image.splitlines() if "install -d -o 10001 -g 10001" in line]
    for name in OURS:
        service = team["services"][name]
        assert service["user"] == "10001:10001", name
        assert {mount["target"] for mount in service["volumes"]} <= set(given.split()), name
    assert "USER 10001:10001" in image


def test_the_linter_has_nothing_to_say_about_the_image() -> None:
    done = subprocess.run([str(TOOLS / "hadolint"), str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_everything_that_the_image_copies_is_sent_to_the_engine() -> None:
    sent = {line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for path in [word for word in line.split()[1:-1] if not word.startswith("--")]:
                assert (ROOT / path).exists(), path
                assert path.split("/")[0] in sent, path


def test_runs_in_containers_are_an_addition_to_the_same_services() -> None:
    both = composed("compose.yaml", "deploy/docker/compose.yaml", DOCKER_GROUP="999", CONTINUUM_EXTRAS="docker")

    holders = {name for name, service in both["services"].items() if "docker.sock" in json.dumps(service["volumes"])}
    assert holders == {"daemon", "webserver"}, "the code location runs what people write, and must not hold the engine's socket"
    configured = {
        name
        for name, service in both["services"].items()
        for mount in service["volumes"]
        if mount["target"] == "/dagster/dagster.yaml" and mount["source"].endswith("deploy/docker/dagster.yaml")
    }
    assert configured == {"code", "daemon", "webserver"}
    assert both["services"]["daemon"]["build"]["args"] == {"EXTRAS": "docker"}


# --- the entrypoint ------------------------------------------------------------------------------------------------------


def entered(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [str(DEPLOY / "entrypoint.sh"), *command], env={**path, **environment}, capture_output=True, text=True, check=False
    )


def test_the_entrypoint_reads_secrets_from_files_and_becomes_the_command(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a b'c\"$d\n")

    done = entered("sh", "-c", 'printf %s "$PGPASSWORD"; exit 3', PGPASSWORD_FILE=str(tmp_path / "secret"))

    assert (done.stdout, done.returncode) == ("a b'c\"$d", 3)
    assert entered("printenv", "OPENAI_API_KEY", OPENAI_API_KEY="as before").stdout == "as before\n"


def test_a_secret_that_is_not_there_is_said_without_starting_anything(tmp_path: Path) -> None:
    done = entered("echo", "started", OPENAI_API_KEY_FILE=str(tmp_path / "missing"))

    assert (done.returncode, done.stdout) == (78, "")
    assert f"OPENAI_API_KEY_FILE names {tmp_path / 'missing'}" in done.stderr


# --- Dagster's instances -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["docker", "kubernetes"])
def test_an_instance_with_another_launcher_differs_in_that_alone(folder: str) -> None:
    team = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    other = yaml.safe_load((DEPLOY / folder / "dagster.yaml").read_text())
    assert other.pop("run_launcher")["module"] == {"docker": "dagster_docker", "kubernetes": "dagster_k8s"}[folder]
    team.pop("run_launcher", None)
    assert other == team


def test_containers_and_pods_find_the_code_location_at_one_address() -> None:
    one, other = (yaml.safe_load((folder / "workspace.yaml").read_text()) for folder in (DEPLOY, KUBERNETES))
    assert one == other
    assert one["load_from"][0]["grpc_server"] == {"host": "code", "port": 4000, "location_name": "continuum_pipelines"}


def test_a_run_in_a_container_is_told_what_the_code_location_is_told(team: dict[str, Any]) -> None:
    launcher = yaml.safe_load((DEPLOY / "docker" / "dagster.yaml").read_text())["run_launcher"]["config"]
    known = {name.removesuffix("_FILE") for name in team["services"]["code"]["environment"]}
    assert set(launcher["env_vars"]) == known
    assert set(launcher["networks"]) == {network["name"] for network in team["networks"].values()}
    volumes = {volume.split(":")[0] for volume in launcher["container_kwargs"]["volumes"]}
    assert volumes == {team["volumes"][name]["name"] for name in ("data", "dagster")}


# --- Kubernetes ----------------------------------------------------------------------------------------------------------


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything that is applied, and the job that is started by hand."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    for name in [*kustomization["resources"], "job.yaml"]:
        for found in yaml.safe_load_all((KUBERNETES / name).read_text()):
            yield name, found


def named(kind: str) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for _, found in manifests() if found["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    found = {**named("Deployment"), **named("Job")}
    return {name: manifest["spec"]["template"]["spec"] for name, manifest in found.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_passes_the_schema_of_kubernetes(version: str) -> None:
    for name, found in manifests():
        kubernetes_validate.validate(found, version, strict=True)
        assert name == "namespace.yaml" or found["metadata"]["namespace"] == "continuum", name


def test_a_manifest_with_a_field_that_there_is_not_would_be_seen() -> None:
    manifest = named("Deployment")["gateway"]
    manifest["spec"]["template"]["spec"]["runAsNonRoot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_every_manifest_of_the_folder_is_applied_or_says_that_it_is_not() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    generated = {file for made in kustomization["configMapGenerator"] for file in made.get("files", [])}
    there = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert there == {*kustomization["resources"], *generated, "kustomization.yaml", "job.yaml"}
    assert all((KUBERNETES / file).exists() for made in kustomization["configMapGenerator"] for file in made.get("envs", []))


def test_the_services_are_those_of_compose_less_the_database() -> None:
    assert named("Deployment").keys() == OURS
    assert named("Service").keys() == OURS - {"daemon"}


def test_every_pod_is_held_to_what_the_namespace_enforces() -> None:
    assert named("Namespace")["continuum"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in pods().items():
        security = pod["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, 10001, 10001), name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "memory" in container["resources"]["limits"], name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert any(mount["name"] == "tmp" for mount in container["volumeMounts"]), name


def test_every_image_is_the_one_that_kustomize_sets() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    (image,) = kustomization["images"]
    pinned = f"{image['name']}:{image['newTag']}"
    used = {container["image"] for pod in pods().values() for container in pod["containers"]}
    launcher = yaml.safe_load((KUBERNETES / "dagster.yaml").read_text())["run_launcher"]["config"]
    training = yaml.safe_load((KUBERNETES / "training.yaml").read_text())
    assert used == {pinned}
    assert (launcher["job_image"], training["image"]) == (pinned, pinned)


def test_what_a_pod_names_is_there() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    maps = {made["name"] for made in kustomization["configMapGenerator"]}
    for name, pod in pods().items():
        assert pod["serviceAccountName"] in named("ServiceAccount"), name
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        claims = {
            volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume
        }
        assert claims <= named("PersistentVolumeClaim").keys(), name
        assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= maps, name
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys(), name
            assert {source["configMapRef"]["name"] for source in container.get("envFrom", [])} <= maps, name


def test_pods_run_what_compose_runs(team: dict[str, Any]) -> None:
    for name in OURS:
        (container,) = pods()[name]["containers"]
        assert container["args"] == team["services"][name]["command"], name


def test_only_who_starts_runs_and_pods_may_ask_kubernetes_for_anything() -> None:
    accounts = named("ServiceAccount")
    assert {name for name, pod in pods().items() if pod["automountServiceAccountToken"]} == {"daemon", "webserver"}
    assert {name for name, account in accounts.items() if account.get("automountServiceAccountToken", True)} == {"continuum-runs"}
    assert named("RoleBinding").keys() == named("Role").keys() == {"continuum-launcher", "continuum-runs"}
    assert not named("ClusterRole")
    for role in named("Role").values():
        for rule in role["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not {"secrets", "pods/exec", "pods/attach", "configmaps"} & set(rule["resources"])


def test_the_environment_of_pods_is_that_of_compose_and_holds_no_secret(team: dict[str, Any]) -> None:
    lines = [line for line in (KUBERNETES / "environment.env").read_text().splitlines() if not line.startswith("#")]
    told = dict(line.split("=", 1) for line in lines)
    composed_for_code = {name for name in team["services"]["code"]["environment"] if not name.endswith("_FILE")}
    assert told.keys() == composed_for_code | {"CONTINUUM_TRAINING_CONFIG"}
    assert not any(word in name for name in told for word in ("PASSWORD", "API_KEY"))
