"""Runs the benchmarks of the orchestration.

| name | what it measures |
|---|---|
| scale | 300 tasks and a million interactions on Postgres: each sensor's tick, the partition page, the asset graph |
| marks | rows arrive while turns run and the daemon is killed: is each high-water mark trained once |
| kills | kill -9 of a run's process, of the daemon and of Postgres in the middle of each asset, and an undisturbed twin |
| overhead | a whole turn through Dagster, and the same stages called one after the other |
| loading | memory and time of loading the code location, beside a bare one |
"""

from benchmarks.running import Suite, main

SUITE = Suite(
    "benchmarks.orchestration",
    "How quickly the sensors decide, whether a mark is ever trained twice, and what going through Dagster costs.",
    ("scale", "marks", "kills", "overhead", "loading"),
    too_long=("marks", "kills", "overhead"),
)

if __name__ == "__main__":
    main(SUITE)
