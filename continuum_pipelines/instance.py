"""Dagster's own memory on this machine: runs, events and partitions."""

import os
import shutil
from pathlib import Path

import dagster as dg

from continuum.config import load_settings, make_private

CONFIGURATION = Path(__file__).parent.parent / "dagster.yaml"


def dagster_home() -> Path:
    """`DAGSTER_HOME`, or the folder `dagster` in `CONTINUUM_HOME`; made where it is missing, with the project's dagster.yaml."""
    home = Path(os.environ.get("DAGSTER_HOME") or load_settings().home / "dagster").resolve()
    make_private(home)
    if not (home / "dagster.yaml").exists() and CONFIGURATION.is_file():
        shutil.copy(CONFIGURATION, home)
    return home


def open_instance() -> dg.DagsterInstance:
    """The instance that the Dagster UI shows when it is started on the same home."""
    return dg.DagsterInstance.from_config(str(dagster_home()))
