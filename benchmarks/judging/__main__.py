"""Runs the benchmarks of judging."""

from benchmarks.running import Suite, main

SUITE = Suite(
    "benchmarks.judging",
    "Judges, their money and their proofs against their goals.",
    ("spending", "rerunning", "killing", "injecting", "debiasing", "proxying", "throughput"),
    too_long=("spending",),
)

if __name__ == "__main__":
    main(SUITE)
