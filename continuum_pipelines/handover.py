"""What one asset tells the next.

Records travel through the store: an asset takes up the newest dataset, checkpoint or verdict of its task, so each can be
materialized alone, and twice. Within one run an asset that made nothing new idles those after it: its status,
`waiting (12 of 20)`, is theirs too.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import dagster as dg

from continuum.errors import NotEnoughData
from continuum_pipelines.claims import root_of

STATUS = "status"
IDLE = "idle"
DIGITS = 5
"""Of a fraction that is shown."""
DECIMALS = 6
"""A micro-dollar is the least that counts; what is smaller is the noise of a sum."""


def materialized(
    status: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    idle: bool = False,
    checks: Sequence[dg.AssetCheckResult] = (),
    version: str | None = None,
) -> dg.MaterializeResult:
    """A materialization with its status in words; metadata without a value is left out.

    Args:
        status: one line on what came of it.
        metadata: what else the UI shows.
        idle: nothing new was made, so that the assets after this one have nothing to do in this run.
        checks: what the asset's checks came to.
        version: names what it was made of; Dagster's own name for it when left out.
    """
    shown = {name: readable(value) for name, value in (metadata or {}).items() if value is not None and value != ""}
    made_of = None if version is None else dg.DataVersion(version)
    metadata = {STATUS: status, **shown, **({IDLE: True} if idle else {})}
    return dg.MaterializeResult(metadata=metadata, check_results=list(checks), data_version=made_of)


def readable(value: Any) -> Any:
    """A fraction with as many digits as a person reads; the store has all of them. Anything else as it is."""
    return float(f"{round(value, DECIMALS):.{DIGITS}g}") if isinstance(value, float) and isfinite(value) else value


def idle_status(context: dg.AssetExecutionContext, upstream: str) -> str | None:
    """The status of the asset before this one when it was materialized in this run and made nothing new; None otherwise.

    A retry goes on where the run that it repeats was killed: what that one materialized counts as its own.
    """
    wanted = dg.AssetRecordsFilter(dg.AssetKey(upstream), asset_partitions=[context.partition_key])
    event = next(iter(context.instance.fetch_materializations(wanted, limit=1).records), None)
    if event is None or IDLE not in metadata_of(event) or not is_of_one_turn(context.instance, context.run, event.run_id):
        return None
    return str(metadata_of(event)[STATUS])


def is_of_one_turn(instance: dg.DagsterInstance, run: dg.DagsterRun, other: str) -> bool:
    """Whether the run with an id is this one, or one that this one repeats."""
    if other == run.run_id:
        return True
    found = instance.get_run_by_id(other) if run.root_run_id else None
    return found is not None and root_of(found) == root_of(run)


def metadata_of(record: dg.EventLogRecord) -> dict[str, Any]:
    """The plain values of a materialization's metadata."""
    materialization = record.asset_materialization
    return {} if materialization is None else {name: value.value for name, value in materialization.metadata.items()}


def waiting(shortage: NotEnoughData) -> str:
    """The status of a task that has too little data."""
    if shortage.available is None or shortage.needed is None:
        return "waiting for more data"
    return f"waiting ({shortage.available} of {shortage.needed})"
