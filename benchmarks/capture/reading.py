"""One task's last thirty days out of a million interactions: the snapshot beside the database, by the figures of `store.py`."""

from importlib.util import find_spec

from benchmarks.capture.claims import Entry, Result, Setting, shown, table

GOAL_FULL, GOAL_NARROW = 2.0, 5.0
GOAL_MEMORY = 4.0
"""Peak memory of a read over the size of its answer, at most."""
CLAIMS = (
    "read 30 days of one task, full rows, Parquet as many times as fast as SQLite",
    "read 30 days of one task, narrow columns, Parquet as many times as fast as SQLite",
    "read 30 days of one task, peak memory over the size of the answer",
)


def measure(setting: Setting) -> Result:
    """Run it; the claims stay open where the store's part is not there."""
    if find_spec("benchmarks.capture.store") is None:
        open_claims = [Entry(claim, None, None, None, "measured", None) for claim in CLAIMS]
        return Result(open_claims, table("Reading", "query"), ["benchmarks/capture/store.py is not there."])
    from benchmarks.capture.store import read_million  # pyright: ignore[reportMissingImports]

    setting.say("reading: a million interactions")
    found = read_million(setting.folder, rows=50_000 if setting.quick else 1_000_000, seed=setting.seed)
    lines = table(f"{found['answer_rows']:,} of {found['rows']:,} interactions, ms", "query", "SQLite", "Parquet")
    for columns in ("full", "narrow"):
        lines.add_row(columns, shown(found[f"sqlite_{columns}_ms"]), shown(found[f"parquet_{columns}_ms"]))
    full, narrow = (found[f"sqlite_{columns}_ms"] / found[f"parquet_{columns}_ms"] for columns in ("full", "narrow"))
    memory = found["parquet_peak_mb"] / found["answer_mb"]
    return Result(
        [
            Entry.of_value(CLAIMS[0], full, ">=", GOAL_FULL),
            Entry.of_value(CLAIMS[1], narrow, ">=", GOAL_NARROW),
            Entry.of_value(CLAIMS[2], memory, "<=", GOAL_MEMORY),
        ],
        lines,
    )
