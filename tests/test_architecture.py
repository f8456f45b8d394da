"""Who may import whom, and what `import continuum` may cost."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VOCABULARY = {
    "records",
    "serving_records",
    "ids",
    "rubric",
    "errors",
    "timespan",
    "config",
    "policy",
    "serving_policy",
    "strict",
    "fine_tuning",
    "progress",
    "dataset",
    "dataset_rows",
    "amending",
    "excerpts",
    "nights",
    "loopback",
    "report_page",
}
LOWEST = "artifacts"
"""Files and where they lie: a dataset reads itself from there, and the store publishes it there."""
CAPABILITIES = {
    LOWEST,
    "store", "models", "embedding", "similarity", "splits", "statistics",
    "constitution", "judging", "spool", "provenance", "tracking", "partitions",
}  # fmt: skip
STAGES = {"signals", "feedback", "annotation", "curation", "training", "guard", "deployment", "analytics"}
ASSEMBLIES = {
    "needs", "status", "forecast", "task_file", "checkup", "gathering", "reopening", "rejudging", "flywheel",
    "erasure", "commands", "cli", "demo", "pytest_plugin", "erasing",
}  # fmt: skip
HEAVY = {
    "accelerate", "aiohttp", "boto3", "dagster", "datasets", "faiss", "httpx", "matplotlib", "mlflow", "numpy", "openai",
    "pandas", "peft", "polars", "presidio_analyzer", "rapidfuzz", "ray", "rensa", "scipy", "sentence_transformers", "sqlalchemy",
    "torch", "transformers", "trl",
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, at any depth, whatever the form."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """The package or module directly under `continuum` that a file belongs to."""
    return path.relative_to(ROOT / "continuum").parts[0].removesuffix(".py")


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", sources("continuum"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_reaches_up_or_across(path: Path) -> None:
    part = part_of(path)
    reached = {name.split(".")[1] for name in imports(path) if name.startswith("continuum.") and len(name.split(".")) > 1}
    known = VOCABULARY | CAPABILITIES | STAGES | ASSEMBLIES
    others = (reached & known) - {part}
    if part == LOWEST:
        assert others <= {"config", "errors", "ids", "timespan"}
    elif part in VOCABULARY:
        # The dataset's and the policy's vocabulary may use each other, never what stands on them.
        assert others <= VOCABULARY | ({LOWEST} if part == "dataset" else set())
    elif part in CAPABILITIES:
        assert others <= VOCABULARY | CAPABILITIES
        assert part != "store" or not others & (CAPABILITIES - {LOWEST})
    elif part in STAGES:
        assert others <= VOCABULARY | CAPABILITIES, f"a stage imports {sorted(others & STAGES)}: what two share is a capability"


def test_every_part_of_the_package_has_a_place_in_the_order() -> None:
    parts = {part_of(path) for path in sources("continuum")} - {"__init__"}
    assert parts <= VOCABULARY | CAPABILITIES | STAGES | ASSEMBLIES


@pytest.mark.parametrize("path", sources("continuum"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_sdk_never_imports_dagster(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in {"dagster", "continuum_pipelines"}}


def test_importing_continuum_loads_nothing_heavier_than_pydantic() -> None:
    loaded = loaded_by("import continuum")
    assert "pydantic" in loaded
    assert HEAVY.isdisjoint(loaded), sorted(HEAVY & loaded)


def test_an_application_that_captures_loads_none_of_the_later_stages() -> None:
    loaded = loaded_by("from continuum import capture, context, feedback, instrument_openai, interaction")
    later = {f"continuum.{part}" for part in (STAGES - {"signals", "feedback"}) | ASSEMBLIES}
    assert later.isdisjoint(loaded), sorted(later & loaded)


def test_every_public_name_is_light() -> None:
    loaded = loaded_by("from continuum import *")
    assert "continuum.guard.guard" in loaded
    assert HEAVY.isdisjoint(loaded), sorted(HEAVY & loaded)


def loaded_by(line: str) -> set[str]:
    """The modules that an interpreter holds after a line."""
    program = f"import sys; exec({line!r}); print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("path", [*sources("continuum"), *sources("continuum_pipelines")], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_outgrows_one_sitting(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{path.name} has {lines} lines: look for the second idea in it"
    assert path.stem not in {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
