"""Runs the benchmarks of curation."""

from benchmarks.running import Suite, main

SUITE = Suite(
    "benchmarks.curation",
    "Duplicates, selection, splits and versions of training sets against their goals.",
    ("hashing", "duplicating", "selecting", "tuning", "building", "leaking", "logs"),
)

if __name__ == "__main__":
    main(SUITE)
