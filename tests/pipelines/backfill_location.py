"""The code location with the two sensors of backfills, looking each second; all else starts nothing by itself."""

import dagster as dg

from benchmarks.orchestration import location
from continuum_pipelines import backfills
from continuum_pipelines.jobs import flywheel

RUNNING = dg.DefaultSensorStatus.RUNNING

defs = dg.Definitions.merge(
    location.defs,
    dg.Definitions(
        sensors=[
            dg.sensor(name="requested_backfills", job_name="backfill", minimum_interval_seconds=1, default_status=RUNNING)(
                backfills.requested_backfills.__wrapped__
            ),
            dg.sensor(name="requested_turns", job=flywheel, minimum_interval_seconds=1, default_status=RUNNING)(
                backfills.requested_turns.__wrapped__
            ),
        ]
    ),
)
