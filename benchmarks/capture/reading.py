"""One task's last thirty days out of a million interactions: the snapshot beside the database, by the figures of `store.py`."""

from dataclasses import replace

from benchmarks.capture.store import read_million
from benchmarks.claims import Entry, Result, Setting, shown, table

GOALS = {"full": 2.0, "narrow": 5.0}
GOAL_MEMORY = 4.0
"""What a read may take over the size of its answer; the answer is in memory twice while it is put together."""


def measure(setting: Setting) -> Result:
    """Run it, and state how many times as fast the snapshot is."""
    setting.say("reading: filling a store")
    found = read_million(setting.quick)
    sqlite, parquet = found["sqlite"], found["parquet"]
    title = f"One task's last 30 days, {sqlite['full']['rows']:,} of {found['rows']:,} interactions"
    lines = table(
        title, "columns", "SQLite ms", "Parquet ms", "times as fast", "SQLite CPU ms", "Parquet CPU ms", "SQLite MB", "Parquet MB"
    )
    for what in ("full", "narrow", "records"):
        pair = (sqlite[what], parquet[what])
        milliseconds = [1000 * one[clock] for clock in ("seconds", "cpu") for one in pair]
        figures = (*milliseconds[:2], found[f"{what}_ratio"], *milliseconds[2:], *(one["took_mb"] for one in pair))
        lines.add_row(what, *map(shown, figures))
    answer_mb = found["database_mb"] / found["rows"] * parquet["full"]["rows"]
    notes = [
        "`records` are the interactions themselves, one by one; the claims are on frames of all columns and of four.",
        f"The database takes {shown(found['database_mb'])} MB, the snapshots {shown(found['parquet_mb'])}; "
        f"the answer is about {shown(answer_mb)} MB of the database.",
    ]
    claim = f"read one task's last 30 days out of {found['rows']:,}"
    entries = [
        Entry.of_ratio(
            f"{claim}, {what} rows, seconds from SQLite over Parquet",
            sqlite[what]["seconds"],
            parquet[what]["seconds"],
            goal,
            at_most=False,
        )
        for what, goal in GOALS.items()
    ]
    memory = Entry.of_value(
        f"{claim}, from Parquet, memory taken over the size of the answer",
        parquet["full"]["took_mb"] / answer_mb,
        "<=",
        GOAL_MEMORY,
    )
    if setting.quick:
        # The claims are on a million: a small answer drowns in what any read costs.
        return Result([replace(entry, holds=None) for entry in (*entries, memory)], lines, notes)
    return Result([*entries, memory], lines, notes)
