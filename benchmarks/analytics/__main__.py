"""Runs the benchmarks of the analytics.

| name | what it measures |
|---|---|
| projecting | curves that go on after the versions they were projected from: does the interval hold the truth |
"""

from benchmarks.running import Suite, main

SUITE = Suite(
    "benchmarks.analytics",
    "Whether what the learning curve says comes true, against its goals and beside what is done without it.",
    ("projecting",),
)

if __name__ == "__main__":
    main(SUITE)
