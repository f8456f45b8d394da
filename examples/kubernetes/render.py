"""Writes the manifests of deploy/kubernetes with the values of a file: render.py VALUES FOLDER."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
IMAGE = "registry.example/continuum-ai:0.1.0"
KINDS = {
    "image": str,
    "postgres_host": str,
    "storage_class": str,
    "storage": str,
    "gateway_replicas": int,
    "judge_model": str,
    "base_model": str,
    "trainings_in_pods": bool,
}


def checked(values: Any) -> dict[str, Any]:
    """The values, each of which is known and of its kind."""
    if not isinstance(values, dict):
        raise SystemExit(f"the values must be names with a value each, not {type(values).__name__}")
    for name, value in values.items():
        if name not in KINDS:
            raise SystemExit(f"{name!r} is no value that this knows; it knows {', '.join(KINDS)}")
        if type(value) is not KINDS[name]:
            raise SystemExit(f"{name} is {value!r}; it must be of the kind {KINDS[name].__name__}")
    if not re.fullmatch(r"[a-z0-9.:/_-]+:[A-Za-z0-9._-]+", values.get("image", IMAGE)):
        raise SystemExit(f"image is {values['image']!r}; it must be a name with a tag, such as {IMAGE}")
    return values


def render(values: dict[str, Any], folder: Path) -> None:
    """Write the manifests into a new folder."""
    shutil.copytree(MANIFESTS, folder)
    image = values.get("image", IMAGE)
    name, _, tag = image.rpartition(":")
    for path in folder.iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace(IMAGE, image), encoding="utf-8")

    def amend(file: str, change: Any) -> None:
        """Change the documents of a file."""
        documents = list(yaml.safe_load_all((folder / file).read_text(encoding="utf-8")))
        for document in documents:
            change(document)
        (folder / file).write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")

    amend("kustomization.yaml", lambda found: found.update(images=[{"name": name, "newTag": tag}]))
    if "gateway_replicas" in values:
        replicas = values["gateway_replicas"]
        amend("gateway.yaml", lambda found: found["kind"] == "Deployment" and found["spec"].update(replicas=replicas))
    if "storage_class" in values:
        amend("volume.yaml", lambda found: found["spec"].update(storageClassName=values["storage_class"]))
    if "storage" in values:
        amend("volume.yaml", lambda found: found["spec"]["resources"]["requests"].update(storage=values["storage"]))
    told = {
        "CONTINUUM_JUDGE_MODEL": values.get("judge_model"),
        "CONTINUUM_BASE_MODEL": values.get("base_model"),
        "CONTINUUM_TRAINING_CONFIG": "/etc/continuum/training.yaml" if values.get("trainings_in_pods") else None,
    }
    environment = folder / "environment.env"
    text = environment.read_text(encoding="utf-8").replace("@postgres/", f"@{values.get('postgres_host', 'postgres')}/")
    for variable, value in told.items():
        if value is not None:
            text = re.sub(rf"^{variable}=.*$", lambda found, line=f"{variable}={value}": line, text, flags=re.MULTILINE)
    environment.write_text(text, encoding="utf-8")


def main(source: str, folder: str) -> None:
    """Read the values, write the folder."""
    if Path(folder).exists():
        raise SystemExit(f"{folder} is there already; name a new folder, or remove it")
    values = checked(yaml.safe_load(Path(source).read_text(encoding="utf-8")))
    render(values, Path(folder))
    print(f"{folder}: kubectl apply --kustomize {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
