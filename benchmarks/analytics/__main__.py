"""Runs the benchmarks of the analytics.

| name | what it measures |
|---|---|
| importing | CPU of `import continuum`, in bare interpreters |
| projecting | curves that go on after the versions they were projected from: does the interval hold the truth |
| selecting | candidates that the guard lets through: what is left of their claimed gains; and what more examples gain |
| attributing | new examples of which one cluster is harmful: is it named, and is none named where all are right |
"""

from benchmarks.running import Suite, main

SUITE = Suite(
    "benchmarks.analytics",
    "Whether what the learning curve says comes true, against its goals and beside what is done without it.",
    (
        "importing",
        "projecting",
        "selecting",
        "attributing",
    ),
)

if __name__ == "__main__":
    main(SUITE)
