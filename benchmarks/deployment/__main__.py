"""Runs the benchmarks of deployment.

| name | what it measures |
|---|---|
| canaries | how often the watch rolls back a candidate that is no worse, finds one that is, and promotes one at the limit |
| after_promotion | how soon a champion that fell from 0.90 to 0.60 is found, and how often a healthy one is accused |
| splitting | the shares of a ramp over 100,000 users, their nesting, and what lost records look like |
"""

from benchmarks.running import Suite, main

SUITE = Suite(
    "benchmarks.deployment",
    "How a candidate comes before real traffic and is taken back, against the goals and beside what others do.",
    ("canaries", "after_promotion", "splitting"),
)

if __name__ == "__main__":
    main(SUITE)
