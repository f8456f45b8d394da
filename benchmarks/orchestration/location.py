"""The code location without what starts turns by itself, and with a tracker in a folder: MLflow takes longer than all else."""

import dagster as dg

from continuum.config import load_settings
from continuum.tracking.tracker import FolderTracker, Tracker
from continuum_pipelines import definitions
from continuum_pipelines.resources.tracker import TrackerResource
from continuum_pipelines.retries import overlooked_retries


class FolderTrackerResource(TrackerResource):
    """The runs of trainings in the home."""

    def build(self) -> Tracker:
        """A tracker in the home."""
        return FolderTracker(load_settings().home / "tracked")


defs = dg.Definitions(
    assets=definitions.defs.assets,
    jobs=definitions.defs.jobs,
    sensors=[overlooked_retries],
    resources={**(definitions.defs.resources or {}), "tracker": FolderTrackerResource()},
    executor=definitions.defs.executor,
)
