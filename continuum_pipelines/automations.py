"""Sensors and schedules as this project makes them: on from the first start, with their docstring as what the UI says of them."""

import inspect
from collections.abc import Callable
from typing import Any

import dagster as dg

from continuum_pipelines.nights import EVERY_QUARTER


def sensor(*, every_s: int = 30, **settings: Any) -> Callable[[Callable[..., Any]], dg.SensorDefinition]:
    """As `dg.sensor`.

    Args:
        every_s: seconds between two looks, at least.
        settings: handed on; `job` or `job_name` where the sensor starts runs.
    """

    def made(look: Callable[..., Any]) -> dg.SensorDefinition:
        on = dg.DefaultSensorStatus.RUNNING
        return dg.sensor(description=inspect.getdoc(look), default_status=on, minimum_interval_seconds=every_s, **settings)(look)

    return made


def nightly(job: Any) -> Callable[[Callable[..., Any]], dg.ScheduleDefinition]:
    """As `dg.schedule`, with the ticks of each task's own night.

    Args:
        job: what it runs.
    """

    def made(look: Callable[..., Any]) -> dg.ScheduleDefinition:
        on = dg.DefaultScheduleStatus.RUNNING
        described = dg.schedule(
            job=job,
            cron_schedule=EVERY_QUARTER,
            execution_timezone="UTC",
            description=inspect.getdoc(look),
            default_status=on,
        )
        return described(look)

    return made
