"""Runs the benchmarks of deployment.

| name | what it measures |
|---|---|
| canaries | how often the watch rolls back a candidate that is no worse, finds one that is, and promotes one at the limit |
| after_promotion | how soon a champion that fell from 0.90 to 0.60 is found, and how often a healthy one is accused |
| hostile | what becomes of clients that mean harm: refused, counted, nothing passed on, nothing told |
| killing | kill -9 of the controller, a gateway's worker and the store in the middle of ramps |
| outages | the store, a model or both away or too slow: who answers, how late, and what is lost |
| proxying | what the gateway costs a request and a stream, beside nginx and LiteLLM |
| ramping | weight changes, adapter swaps and rollbacks under load: what fails, what is lost, how soon all workers agree |
| splitting | the shares of a ramp over 100,000 users, their nesting, and what lost records look like |
"""

from benchmarks.running import Suite, main

SUITE = Suite(
    "benchmarks.deployment",
    "How a candidate comes before real traffic and is taken back, against the goals and beside what others do.",
    ("proxying", "ramping", "killing", "outages", "hostile", "canaries", "after_promotion", "splitting"),
    too_long=("killing", "outages"),
)

if __name__ == "__main__":
    main(SUITE)
