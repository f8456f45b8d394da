"""Runs the benchmarks of training."""

import os

from benchmarks.claims import Setting
from benchmarks.running import Suite, main


def prepared(setting: Setting) -> Setting:
    """What is trained here is written below the folder of the run, not into the home of whoever runs it."""
    os.environ["CONTINUUM_HOME"] = str(setting.folder / "home")
    return setting


SUITE = Suite(
    "benchmarks.training",
    "What training forgets, what keeping it costs, and what a training survives, against their goals and their peers.",
    ("penalty", "stepping", "fishing", "against_trl", "killing", "poisoning", "preferring", "sequence", "logs"),
    prepared=prepared,
)

if __name__ == "__main__":
    main(SUITE)
