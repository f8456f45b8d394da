"""The code location with the one sensor that a mark hangs on, looking each second; all else starts nothing by itself."""

import dagster as dg

from benchmarks.orchestration import location
from continuum_pipelines import sensors
from continuum_pipelines.jobs import flywheel

hasty = dg.sensor(
    name="enough_new_data", job=flywheel, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING
)(sensors.enough_new_data.__wrapped__)

defs = dg.Definitions.merge(location.defs, dg.Definitions(sensors=[hasty]))
