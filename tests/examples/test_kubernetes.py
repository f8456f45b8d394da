"""Kubernetes with values: what is written passes Kubernetes' schemas, says what the values say, and is otherwise as it was."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.examples.conftest import EXAMPLES, ROOT, Run

MANIFESTS = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.34.0", "1.37.0")
OTHERS = {"kustomization.yaml", "dagster.yaml", "workspace.yaml", "training.yaml"}
"""No manifests: what is made of them, and files of ConfigMaps."""


@pytest.fixture
def rendered(run: Run, tmp_path: Path) -> Path:
    done = run("kubernetes/render.py", "kubernetes/values.yaml", str(tmp_path / "rendered"))
    assert (done.returncode, done.stderr) == (0, "")
    return tmp_path / "rendered"


def documents(folder: Path) -> dict[str, list[Any]]:
    return {
        path.name: list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*.yaml"))
        if path.name not in OTHERS
    }


def environment(folder: Path) -> dict[str, str]:
    lines = (folder / "environment.env").read_text(encoding="utf-8").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines if not line.startswith("#"))}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_written_passes_the_schemas_of_kubernetes(rendered: Path, version: str) -> None:
    for name, found in documents(rendered).items():
        for manifest in found:
            kubernetes_validate.validate(manifest, version, strict=True)
        assert found, name


def test_every_value_is_where_it_belongs(rendered: Path) -> None:
    values = yaml.safe_load((EXAMPLES / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))
    found = documents(rendered)
    (gateway,) = [one for one in found["gateway.yaml"] if one["kind"] == "Deployment"]
    (claim,) = found["volume.yaml"]
    told = environment(rendered)

    assert gateway["spec"]["replicas"] == values["gateway_replicas"]
    assert claim["spec"]["storageClassName"] == values["storage_class"]
    assert claim["spec"]["resources"]["requests"]["storage"] == values["storage"]
    assert (told["CONTINUUM_JUDGE_MODEL"], told["CONTINUUM_BASE_MODEL"]) == (values["judge_model"], values["base_model"])
    assert told["CONTINUUM_TRAINING_CONFIG"] == "/etc/continuum/training.yaml"
    urls = [value for name, value in told.items() if value.startswith("postgresql")]
    assert len(urls) == 3
    assert all(f"@{values['postgres_host']}/" in url for url in urls)


def test_one_image_is_named_everywhere_and_nobodys_registry_is_left(rendered: Path) -> None:
    for path in rendered.iterdir():
        assert "registry.example" not in path.read_text(encoding="utf-8"), path.name
    (image,) = yaml.safe_load((rendered / "kustomization.yaml").read_text(encoding="utf-8"))["images"]
    pods = [one for found in documents(rendered).values() for one in found if one["kind"] in ("Deployment", "Job")]
    used = {container["image"] for pod in pods for container in pod["spec"]["template"]["spec"]["containers"]}
    assert used == {f"{image['name']}:{image['newTag']}"}
    launcher = yaml.safe_load((rendered / "dagster.yaml").read_text(encoding="utf-8"))["run_launcher"]["config"]
    training = yaml.safe_load((rendered / "training.yaml").read_text(encoding="utf-8"))
    assert {launcher["job_image"], training["image"]} == used


def test_without_values_everything_is_as_in_deploy(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("{}", encoding="utf-8")

    done = run("kubernetes/render.py", str(tmp_path / "none.yaml"), str(tmp_path / "rendered"))

    assert done.returncode == 0, done.stderr
    assert documents(tmp_path / "rendered") == documents(MANIFESTS)
    assert environment(tmp_path / "rendered") == environment(MANIFESTS)
    for name in OTHERS:
        before, after = (
            yaml.safe_load((folder / name).read_text(encoding="utf-8")) for folder in (MANIFESTS, tmp_path / "rendered")
        )
        assert before == after, name


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("replicas: 3", "'replicas' is no value that this knows; it knows image, postgres_host"),
        ("gateway_replicas: three", "gateway_replicas is 'three'; it must be of the kind int"),
        ("trainings_in_pods: 1", "trainings_in_pods is 1; it must be of the kind bool"),
        ("image: continuum", "image is 'continuum'; it must be a name with a tag"),
        ("- image", "the values must be names with a value each, not list"),
    ],
)
def test_a_value_that_is_not_understood_is_refused_and_nothing_is_written(
    run: Run, tmp_path: Path, values: str, words: str
) -> None:
    (tmp_path / "values.yaml").write_text(values, encoding="utf-8")

    done = run("kubernetes/render.py", str(tmp_path / "values.yaml"), str(tmp_path / "rendered"))

    assert done.returncode == 1
    assert words in done.stderr
    assert not (tmp_path / "rendered").exists()


def test_a_folder_that_is_there_is_left_alone(run: Run, tmp_path: Path) -> None:
    done = run("kubernetes/render.py", "kubernetes/values.yaml", str(tmp_path))

    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == []
