"""Runs the benchmarks of curation."""

import os

from benchmarks.claims import Setting
from benchmarks.running import Suite, main


def prepared(setting: Setting) -> Setting:
    """What is built here is written below the folder of the run, not into the home of whoever runs it."""
    os.environ["CONTINUUM_HOME"] = str(setting.folder / "home")
    return setting


SUITE = Suite(
    "benchmarks.curation",
    "Duplicates, selection, splits and versions of training sets against their goals.",
    ("hashing", "duplicating", "selecting", "tuning", "building", "leaking", "logs"),
    prepared=prepared,
)

if __name__ == "__main__":
    main(SUITE)
