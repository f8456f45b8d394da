"""What pyproject.toml declares is what the code needs: imports have dependencies, pins are in ranges, licences are listed."""

import ast
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from continuum.errors import EXTRAS
from tests.packaging.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL: dict[str, list[str]] = PROJECT["optional-dependencies"]
COME_WITH = {
    "botocore": "boto3",
    "dagster_pipes": "dagster",
    "fsspec": "datasets",
    "huggingface_hub": "transformers",
    "jinja2": "lm_eval",
    "pyarrow": "datasets",
    "pydantic_core": "pydantic",
    "spacy": "presidio-analyzer",
    "tldextract": "presidio-analyzer",
    "tokenizers": "transformers",
}
"""Imported where what brings them is imported too, by whose ranges they go; two of these have one version for both."""
USED_IF_THERE = {"opentelemetry", "pytest", "urllib3"}
"""Imported only where the application has them, or whoever brings them has imported them already."""


def declared() -> set[str]:
    lines = [*PROJECT["dependencies"], *(line for lines in OPTIONAL.values() for line in lines)]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported() -> dict[str, set[str]]:
    """Module outside of the standard library, to the files that import it."""
    found: dict[str, set[str]] = defaultdict(set)
    for package in ("continuum", "continuum_pipelines", "continuum_pytest"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                for name in {one.split(".")[0] for one in names}:
                    if name not in sys.stdlib_module_names and not name.startswith("continuum"):
                        found[name].add(str(path.relative_to(ROOT)))
    return found


def test_every_import_is_declared_or_comes_with_what_is() -> None:
    packages, known = packages_distributions(), declared()
    assert {canonicalize_name(name) for name in COME_WITH.values()} <= known
    for module, files in imported().items():
        if module in COME_WITH or module in USED_IF_THERE:
            continue
        names = {canonicalize_name(name) for name in packages.get(module, [module])}
        assert names & known, f"{module} is imported by {sorted(files)[:3]} and declared nowhere"


def test_nothing_is_said_to_come_with_another_that_nobody_imports() -> None:
    assert set(COME_WITH) | USED_IF_THERE <= imported().keys()


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *(line for lines in OPTIONAL.values() for line in lines)])
def test_every_range_has_a_lowest_version_and_is_met_here(line: str) -> None:
    from importlib.metadata import PackageNotFoundError, version

    requirement = Requirement(line)
    if requirement.name == PROJECT["name"]:
        assert requirement.extras <= OPTIONAL.keys()
        return
    assert any(one.operator == ">=" for one in requirement.specifier), line
    try:
        here = version(requirement.name)
    except PackageNotFoundError:
        # Extras that development does without.
        assert line in OPTIONAL["presidio"] + OPTIONAL["docs"], line
        return
    assert requirement.specifier.contains(here, prereleases=True), f"{requirement.name} {here} is here, {line} is declared"


def test_every_pin_is_within_its_range() -> None:
    pins = [line.partition("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line]
    versions = {canonicalize_name(name): version for name, _, version in pins}
    for line in (*PROJECT["dependencies"], *(line for lines in OPTIONAL.values() for line in lines)):
        requirement = Requirement(line)
        pin = versions.get(canonicalize_name(requirement.name))
        if pin is None:
            assert canonicalize_name(requirement.name) in (PROJECT["name"], "setuptools"), f"{line} has no pin"
        else:
            assert requirement.specifier.contains(pin, prereleases=True), f"{pin} is pinned, {line} is declared"


def test_the_pip_line_of_a_missing_package_names_an_extra_that_brings_it() -> None:
    for package, extra in EXTRAS.items():
        assert extra in OPTIONAL, f"{package} is said to come with the extra {extra}, which is none"


def test_what_is_weighed_is_every_extra() -> None:
    from releasing.installing import BRINGS

    assert BRINGS.keys() == {"base", *OPTIONAL}


def test_licences_are_those_of_the_pins() -> None:
    from releasing.licences import PAGE, packages, page, told

    current = PAGE.read_text(encoding="utf-8")
    assert page(packages(told(current))) == current, "docs/licences.md is not current: python -m releasing.licences"
    assert "not installed" not in current.partition("## Copyleft")[2]


@pytest.mark.parametrize(
    ("licence", "is_copyleft"),
    [
        ("MIT", False),
        ("Apache-2.0 OR BSD-3-Clause", False),
        ("LGPL", True),
        ("GPL-3.0-only", True),
        ("MPL-2.0 AND MIT", True),
        ("AGPL-3.0-or-later", True),
        (None, False),
    ],
)
def test_terms_that_go_on_to_others_are_flagged(licence: str | None, is_copyleft: bool) -> None:
    from releasing.licences import Package

    assert Package("name", "1", licence, "base").copyleft is is_copyleft
