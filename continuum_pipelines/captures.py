"""What was captured, as the Dagster UI shows it: the task's traffic, its snapshots, and whether captures wait in the spool."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from continuum.config import load_settings
from continuum.signals.summary import TrafficSummary
from continuum.spool.waiting import waiting_in
from continuum.timespan import utc_now
from continuum_pipelines.checks import spool_lag
from continuum_pipelines.columns import snapshot_columns
from continuum_pipelines.plots import bar_plot
from continuum_pipelines.tables import counts_table, markdown

if TYPE_CHECKING:
    from continuum.store.database import Store


def checks_of(store: "Store", *, now: Callable[[], datetime] = utc_now) -> list[dg.AssetCheckResult]:
    """The result of the one check; it looks at the spool of the machine it runs on, and at all tasks in it."""
    found, at = waiting_in(store, load_settings().spool_dir), now()
    return [
        dg.AssetCheckResult(
            check_name=spool_lag.name,
            passed=not found.is_late(at),
            severity=dg.AssetCheckSeverity.WARN,
            description=found.words(at),
            metadata={
                "waiting": found.lines,
                "segments": found.segments,
                "bytes": found.bytes,
                "oldest_seconds": round(found.age(at).total_seconds()),
            },
        )
    ]


def metadata_of(store: "Store", task: str, traffic: TrafficSummary) -> dict[str, Any]:
    """What the asset shows besides its counts: who answered, by which door it came in, and how the snapshots are laid out."""
    root = load_settings().snapshots_url.rstrip("/")
    return {
        "dagster/row_count": traffic.total,
        "dagster/column_schema": snapshot_columns(store, task),
        # An address with a user in it may hold a password.
        "dagster/uri": None if "@" in root else f"{root}/task={task}",
        "models": markdown(bar_plot(traffic.by_model, "calls by model")),
        "by_model": counts_table("model", traffic.by_model),
        "by_door": counts_table("source", traffic.by_source),
        "by_status": counts_table("status", traffic.by_status),
        "by_variant": counts_table("variant", traffic.by_variant),
    }
