"""The bill of materials: what a user's installation with every extra holds, as CycloneDX JSON beside the wheel.

python -m releasing.bill dist/continuum_ai-0.1.0-py3-none-any.whl
"""

import json
import sys
import tempfile
from pathlib import Path

from releasing.environments import ROOT, made, project, run

NOT_FOR_USERS = {"dev", "docs"}


def main() -> int:
    """Install into a fresh environment at the pinned versions, and write down what is there."""
    wheel = Path(sys.argv[1]).resolve()
    extras = ",".join(sorted(project()["optional-dependencies"].keys() - NOT_FOR_USERS))
    target = wheel.with_name(f"{wheel.name.removesuffix('-py3-none-any.whl')}.cdx.json")
    with tempfile.TemporaryDirectory(prefix="continuum-bill-") as folder:
        wanted = f"continuum-ai[{extras}] @ {wheel.as_uri()}"
        python = made(Path(folder) / "environment", [wanted], "--constraint", str(ROOT / "constraints.txt"))
        command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")]
        # Reproducible: no serial number and no time of day. The schema is checked before it is written.
        run(*command, "--output-reproducible", "--sv", "1.6", "--output-file", str(target), str(python))
    components = json.loads(target.read_text(encoding="utf-8"))["components"]
    print(f"{target}: {len(components)} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
