"""Clean installations: the wheel alone and with each extra, each in a fresh environment; what came, what it weighs, does it work.

python -m releasing.installing dist/continuum_ai-0.1.0-py3-none-any.whl [--only EXTRA] [--newest]
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from releasing.environments import ROOT, made, project, run

BRINGS: dict[str, tuple[str, ...]] = {
    "base": ("sqlalchemy", "openai", "polars", "faiss", "aiohttp", "prometheus_client", "uvloop"),
    "gateway": ("continuum.deployment.gateway.gateway",),
    "aws": ("boto3", "continuum.artifacts.s3"),
    "training": ("torch", "transformers", "peft", "trl", "mlflow", "continuum.training.loop"),
    "pipelines": ("dagster", "dagster_webserver", "continuum_pipelines.definitions"),
    "docker": ("dagster_docker",),
    "kubernetes": ("dagster_k8s", "continuum_pipelines.launchers"),
    "ray": ("ray.data", "continuum.partitions.ray_workers"),
    "lmeval": ("lm_eval", "continuum.guard.lm_eval_engine"),
    "langchain": ("langchain_core", "continuum.signals.langchain_engine"),
    "presidio": ("presidio_analyzer", "continuum.spool.presidio"),
    "docs": ("mkdocs", "mkdocstrings"),
    "dev": ("pytest", "hypothesis", "playwright"),
}
"""What must be importable once an extra is there."""
WEIGHED = """
import importlib.metadata as metadata, json, os
sizes = {}
for found in metadata.distributions():
    paths = {os.fspath(file.locate()) for file in found.files or ()}
    sizes[found.name] = sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
print(json.dumps(sizes))
"""


@dataclass(frozen=True)
class Installation:
    """What an extra brought."""

    extra: str
    sizes: dict[str, int]
    """Bytes of each package's files, without compiled bytecode."""
    sound: str
    """`works`, or what failed."""

    @property
    def megabytes(self) -> float:
        """Of everything."""
        return sum(self.sizes.values()) / 1e6


def installed(wheel: Path, extra: str, folder: Path, constraints: Path | None) -> Installation:
    """Install the wheel with an extra, and try what the extra brings."""
    wanted = f"continuum-ai[{extra}] @ {wheel.resolve().as_uri()}" if extra != "base" else str(wheel.resolve())
    python = made(folder, [wanted], *(["--constraint", str(constraints)] if constraints else []))
    sizes: dict[str, int] = json.loads(run(str(python), "-c", WEIGHED, folder=folder).stdout)
    home = {"CONTINUUM_HOME": str(folder / "home"), "DAGSTER_HOME": "", "DAGSTER_DISABLE_TELEMETRY": "yes"}
    sound = "works"
    try:
        run(str(folder / "bin" / "continuum"), "--help", folder=folder, **home)
        for module in ("continuum", "continuum_pytest" if extra == "dev" else "continuum.cli", *BRINGS[extra]):
            run(str(python), "-c", f"import {module}", folder=folder, **home)
    except SystemExit as failure:
        sound = str(failure).strip().splitlines()[-1]
    return Installation(extra, sizes, sound)


def row(found: Installation, base: Installation) -> str:
    """A row of the table."""
    added = {name: size for name, size in found.sizes.items() if name not in base.sizes or found is base}
    heaviest = sorted(added.items(), key=lambda one: -one[1])[:4]
    named = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in heaviest)
    more = "" if found is base else f"{found.megabytes - base.megabytes:.0f}"
    return f"| {found.extra} | {len(found.sizes)} | {found.megabytes:.0f} | {more} | {named} | {found.sound} |"


def main() -> int:
    """Install each, print a table; 1 where something does not work."""
    extras = ["base", *project()["optional-dependencies"]]
    parser = argparse.ArgumentParser(description="Install the wheel with each extra into fresh environments.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--only", choices=extras, action="append", help="this extra; may be repeated")
    parser.add_argument(
        "--newest", action="store_true", help="the newest versions that the ranges allow, not those that are pinned"
    )
    options = parser.parse_args()
    constraints = None if options.newest else ROOT / "constraints.txt"
    print("| extra | packages | MB | more than base | heaviest, MB | |\n|---|---|---|---|---|---|", flush=True)
    base: Installation | None = None
    broken = 0
    for extra in ["base", *(one for one in options.only or extras if one != "base")]:
        with tempfile.TemporaryDirectory(prefix="continuum-install-") as folder:
            found = installed(options.wheel, extra, Path(folder) / "environment", constraints)
        base = base or found
        print(row(found, base), flush=True)
        broken += found.sound != "works"
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
