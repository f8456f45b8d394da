"""The tracker of model versions, as a resource."""

import dagster as dg
from pydantic import Field

from continuum.config import load_settings
from continuum.tracking.tracker import Tracker, open_tracker


class TrackerResource(dg.ConfigurableResource):
    """MLflow, where runs, model versions and the aliases `candidate` and `champion` are kept."""

    tracking_uri: str | None = Field(
        default=None, description="MLflow server or database; that of the environment (MLFLOW_TRACKING_URI) when left out."
    )

    def build(self) -> Tracker:
        """A tracker at this address."""
        settings = load_settings()
        return open_tracker(
            settings.model_copy(update={"mlflow_tracking_uri": self.tracking_uri}) if self.tracking_uri else settings
        )
