"""What is built is what is meant: the sdist is the project, the wheel its packages, and it works where it is installed."""

import email
import json
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Installed, without_ours

pytestmark = pytest.mark.slow
DATA = ("judging/telltales.json", "judging/concepts.txt", "guard/general_texts.jsonl", "store/migrations/script.py.mako")
PACKAGES = ("continuum/", "continuum_pipelines/", "continuum_pytest/")
LEFT_OUT = {".ci/", ".gitignore", ".dockerignore", ".github/"}
"""Of no use to whoever has the sdist."""


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def run(installed: Installed, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the environment's Python in a folder of its own, where this tree is not found."""
    environment = {**without_ours(), "CONTINUUM_HOME": str(home / "continuum")}
    return subprocess.run([*arguments], cwd=home, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path, project_files: set[str]) -> None:
    held = {name for name in names(wheel) if ".dist-info/" not in name}

    assert held == {name for name in project_files if name.startswith(PACKAGES)}


def test_the_sdist_holds_the_whole_project(sdist: Path, project_files: set[str]) -> None:
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    made = {name for name in held if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}

    assert held - made == {name for name in project_files if not any(name.startswith(left) for left in LEFT_OUT)}


def test_no_secret_and_no_path_of_the_builder_is_in_what_is_published(wheel: Path, sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {member.name for member in archive.getmembers()} | names(wheel)

    assert not {name for name in held if "/secrets/" in name or name.endswith((".pyc", ".db", ".env.local"))}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert str(ROOT).encode() not in archive.read(name), name


def test_the_wheel_says_what_pyproject_says(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = email.message_from_bytes(archive.read(metadata))

    assert (said["Name"], said["Version"], said["Requires-Python"]) == (
        project["name"],
        project["version"],
        project["requires-python"],
    )
    assert said["License-Expression"] == "MIT"
    assert set(said.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    unconditional = [line for line in said.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(unconditional) == len(project["dependencies"])


def test_the_installed_package_is_found_outside_of_the_source_tree(installed: Installed, tmp_path: Path) -> None:
    program = "import continuum, continuum_pipelines, continuum_pytest as p; print(continuum.__file__, p.__file__, sep='\\n')"

    done = run(installed, str(installed.python), "-c", program, home=tmp_path)

    assert done.returncode == 0, done.stderr
    assert all(Path(line).is_relative_to(installed.packages) for line in done.stdout.split())


def test_every_module_of_the_wheel_can_be_imported_where_it_is_installed(installed: Installed, tmp_path: Path) -> None:
    program = """
import importlib, json, pkgutil, continuum, warnings
warnings.simplefilter("ignore")
found = [module.name for module in pkgutil.walk_packages(continuum.__path__, "continuum.")]
failed = {}
for name in found:
    # These begin to work when they are imported, as programs do.
    if name.endswith(("__main__", "migrations.env")):
        continue
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
print(json.dumps([len(found), failed]))
"""
    done = run(installed, str(installed.python), "-c", program, home=tmp_path)

    assert done.returncode == 0, done.stderr
    count, failed = json.loads(done.stdout.splitlines()[-1])
    assert failed == {}
    assert count > 200


def test_the_command_is_there_and_has_help(installed: Installed, tmp_path: Path) -> None:
    done = run(installed, str(installed.continuum), "--help", home=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "The open flywheel for LLM applications." in done.stdout


def test_a_store_is_made_and_filled_by_the_installed_command(installed: Installed, tmp_path: Path) -> None:
    row = {
        "id": "1",
        "task": "support",
        "messages": [{"role": "user", "content": "Where is my order?"}],
        "response": {"role": "assistant", "content": "It left yesterday."},
    }
    (tmp_path / "log.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")

    done = run(installed, str(installed.continuum), "import", "log.jsonl", home=tmp_path)

    # Without the migrations and the judge's lists, which are no modules, there is no store and no redaction.
    assert done.returncode == 0, done.stderr
    assert "1 interaction" in done.stdout
    assert (tmp_path / "continuum" / "continuum.db").exists()


def test_files_that_are_no_modules_are_found_where_it_is_installed(installed: Installed, tmp_path: Path) -> None:
    for name in DATA:
        assert (installed.packages / "continuum" / name).stat().st_size > 100, name
    assert {path.name for path in (installed.packages / "continuum/annotation/label_page").iterdir()} >= {
        "page.html", "page.js", "page.css", "drawing.js",
    }  # fmt: skip
    for package in PACKAGES:
        assert (installed.packages / package / "py.typed").exists()


def test_pytest_finds_the_plugin_of_the_installed_wheel(installed: Installed, tmp_path: Path) -> None:
    done = run(installed, str(installed.python), "-m", "pytest", "--help", "-p", "no:cacheprovider", home=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "continuum" in done.stdout
